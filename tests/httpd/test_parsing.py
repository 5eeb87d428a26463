"""From bytes to requests, cut in every way."""

import pytest

from rpcnode.httpd.errors import Refusal
from rpcnode.httpd.parsing import RequestParser
from rpcnode.httpd.settings import ServerSettings
from tests.httpd.client import chunked, request

UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")
CHUNKS = "Transfer-Encoding: chunked"

STREAMS = {
    "requests without bodies": request("GET", "/1") + request("GET", "/2"),
    "bodies of known length": request("POST", "/1", body=b"abc") + request("PUT", "/2", body=b"d"),
    "bodies in chunks": request("POST", "/1", CHUNKS)
    + chunked(b"abc", b"d")
    + request("GET", "/2"),
    "trailers": request("POST", "/1", CHUNKS)
    + chunked(b"abc", trailer=b"X-Field: a\r\nX-Other: b\r\n")
    + request("GET", "/2"),
    "empty lines between requests": request("GET", "/1") + b"\r\n" + request("GET", "/2"),
    "an offer without a body": request("GET", "/1", *UPGRADE) + request("GET", "/2"),
    "an offer with a body": request("POST", "/1", *UPGRADE, body=b"abc") + request("GET", "/2"),
    "an offer with chunks": request("POST", "/1", CHUNKS, *UPGRADE)
    + chunked(b"abc", b"d", trailer=b"X-Field: a\r\n")
    + request("GET", "/2"),
    "two offers": request("POST", "/1", *UPGRADE, body=b"abc") * 2,
}


class Receiver:
    """Keeps what it is told: for each request its path, its fields and its body."""

    def __init__(self):
        self.requests = []

    def on_head(self, head):
        self.requests.append([head.path, head.fields, b""])
        return self if head.has_body else None

    def feed(self, data):
        self.requests[-1][2] += data

    def end(self):
        self.requests[-1].append("whole")


def parse(*parts, **limits):
    receiver = Receiver()
    parser = RequestParser(receiver, ServerSettings(**limits))
    for part in parts:
        parser.feed(part)
    return receiver.requests


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_requests_are_the_same_wherever_the_bytes_are_cut(data):
    expected = parse(data)

    assert len(expected) == 2
    for offset in range(1, len(data)):
        assert parse(data[:offset], data[offset:]) == expected
    assert parse(*(bytes([byte]) for byte in data)) == expected


def test_nothing_of_a_request_is_the_next_ones():
    requests = parse(STREAMS["trailers"])

    assert requests[0][2] == b"abc"
    assert requests[1][1] == [(b"Host", b"localhost")]


def test_what_follows_a_last_request_is_ignored():
    last = request("GET", "/1", "Connection: close")

    assert [path for path, *_ in parse(last + request("GET", "/2"))] == ["/1"]
    assert [path for path, *_ in parse(last, request("GET", "/2"))] == ["/1"]


def test_what_follows_a_malformed_request_is_ignored():
    receiver = Receiver()
    parser = RequestParser(receiver, ServerSettings())

    with pytest.raises(Refusal):
        parser.feed(b"GET\r\n\r\n")
    parser.feed(request("GET", "/"))

    assert receiver.requests == []
    assert parser.is_over


@pytest.mark.parametrize("step", [1, 7, 100])
def test_head_within_its_limit_passes_however_it_is_cut(step):
    data = request("GET", "/", "X-Field: " + "a" * 900)

    assert len(parse(*(data[at : at + step] for at in range(0, len(data), step)), max_head=1000))


def test_size_of_a_head_does_not_count_what_came_before_it():
    data = request("POST", "/1", body=b"a" * 5000) + request("GET", "/2")

    assert len(parse(data[:4000], data[4000:-10], data[-10:], max_head=1000)) == 2


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost", True),
        ("localhost:80", True),
        ("[::1]:80", True),
        ("", True),
        ("xn--gre-6ka8i.example", True),
        ("[::1", False),
        ("a/b", False),
        ("a:b", False),
        ("a\\b", False),
        ("a,b c", False),
    ],
)
def test_host_must_be_one(host, is_known):
    data = request("GET", "/", f"Host: {host}")

    if is_known:
        assert parse(data)
    else:
        with pytest.raises(Refusal, match="Host"):
            parse(data)


def test_client_of_http_1_0_that_says_close_is_left_whatever_else_it_says():
    asked = request("GET", "/1", "Connection: close, keep-alive", version="1.0")

    assert [path for path, *_ in parse(asked + request("GET", "/2"))] == ["/1"]
