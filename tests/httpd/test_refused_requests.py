"""What a strict server refuses: over sockets, and without one; nobody else notices."""

import json

import pytest

from rpcnode.httpd.application import Application
from rpcnode.httpd.errors import Refusal
from rpcnode.httpd.memory import MemoryConnection
from rpcnode.httpd.settings import ServerSettings
from tests.httpd.client import request

HOST = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 4096  # bytes of a head
MANY = 200_000  # bytes: more than is read at once

REFUSED = {
    # Each of these is let in by one of the servers that were measured.
    "space before the colon": (GET + b"X-Field : a\r\n\r\n", 400),
    "lines that end in a bare LF": (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    "a field that ends in a bare LF": (GET + b"X-Field: a\nX-Other: b\r\n\r\n", 400),
    "a head that ends in a bare LF": (GET + b"\n", 400),
    "bare CR in a value": (GET + b"X-Field: a\rX-Other: b\r\n\r\n", 400),
    "a head that ends in a bare CR": (GET + b"\rGET / HTTP/1.1\r\n", 400),
    "a value on two lines": (GET + b"X-Field: a\r\n b\r\n\r\n", 400),
    "a value that begins on the next line": (GET + b"X-Field:\r\n b\r\n\r\n", 400),
    "a first field that begins with a space": (b"GET / HTTP/1.1\r\n X: a\r\n" + HOST, 400),
    "NUL in a value": (GET + b"X-Field: a\0b\r\n\r\n", 400),
    "a control character in a value": (GET + b"X-Field: a\x01b\r\n\r\n", 400),
    "NUL in a name": (GET + b"X\0Field: a\r\n\r\n", 400),
    "a method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an empty name": (GET + b": a\r\n\r\n", 400),
    "a line without a colon": (GET + b"X-Field\r\n\r\n", 400),
    "a name that is no token": (GET + b"X@Field: a\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "one length twice": (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "a length with a sign": (POST + b"Content-Length: +5\r\n\r\nabcde", 400),
    "a negative length": (POST + b"Content-Length: -5\r\n\r\nabcde", 400),
    "a list of lengths": (POST + b"Content-Length: 5,5\r\n\r\nabcde", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x5\r\n\r\nabcde", 400),
    "an empty length": (POST + b"Content-Length: \r\n\r\n", 400),
    "an endless length": (POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", 400),
    "length and chunks": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a coding that is nearly chunked": (
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "a coding beside chunked": (
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "two codings": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    "no coding": (POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two hosts": (GET + b"Host: other\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "a host that is none": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a host with a user": (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab in the target": (b"GET /a\tb HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "NUL in the target": (b"GET /a\0b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target that is not ASCII": (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target without a slash": (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a star with GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URI with a user": (b"GET http://user@a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URI of another scheme": (b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "another protocol": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "a space after the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a method that nobody knows": (b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    "an expectation": (POST + b"Expect: gold\r\nContent-Length: 1\r\n\r\na", 417),
    "a long target": (b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a long value": (GET + b"X-Field: " + b"a" * LIMIT + b"\r\n\r\n", 431),
    "a long name": (GET + b"X" * LIMIT + b": a\r\n\r\n", 431),
    "a head without an end": (GET + b"X-Field: a\r\n" * (MANY // 12), 431),
    "empty lines without an end": (b"\r\n" * (MANY // 2), 431),
    "many small fields": (GET + b"a:\r\n" * 300 + b"\r\n", 431),
    "a chunk with a sign": (CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk with 0x": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk with spaces": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400),
    "chunks with bare LF": (CHUNKED + b"3\nabc\n0\n\n", 400),
    "a chunk that is longer than it says": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400),
    "an endless chunk": (CHUNKED + b"f" * 17 + b"\r\nabc", 400),
    "LF in what extends a chunk": (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk that is extended without an end": (CHUNKED + b"3;" + b"a" * MANY, 400),
    "a length among the trailers": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "trailers without an end": (CHUNKED + b"0\r\n" + b"X-Field: a\r\n" * (MANY // 12), 400),
}


def rows():
    return [pytest.param(data, status, id=name) for name, (data, status) in REFUSED.items()]


@pytest.mark.parametrize(("data", "status"), rows())
def test_request_is_refused_over_a_socket(serve, data, status):
    site = serve(max_head=LIMIT)
    client = site.client()

    client.send(data)
    answer = client.answer()

    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert client.is_closed()
    # A body may turn out to be malformed when its head is long known.
    assert [exchange for exchange in site.seen if not exchange.has_body] == []


@pytest.mark.parametrize(("data", "status"), rows())
def test_request_is_refused_however_its_bytes_arrive(data, status):
    seen = []
    connection = MemoryConnection(Application(seen.append), ServerSettings(max_head=LIMIT))

    for offset in range(len(data)):
        connection.feed(data[offset : offset + 1])
    sent = connection.take()

    if seen:  # the head was in order, and arrived before the rest
        with pytest.raises(Refusal) as caught:
            seen[0].read()
        assert caught.value.status == status
    else:
        # What is no method is seen before it is long enough to be an unknown one.
        assert int(sent.split()[1]) in ((status, 400) if status == 501 else (status,))


@pytest.mark.parametrize(("data", "status"), rows())
def test_request_before_a_refused_one_is_answered(serve, data, status):
    site = serve(max_head=LIMIT)
    client = site.client()

    client.send(request("GET", "/first") + data)
    first = client.answer()
    second = client.answer()

    assert (first.status, first.body) == (200, b"/first")
    assert second.status in (status, 400)
    assert [exchange for exchange in site.seen[1:] if not exchange.has_body] == []


def test_refusal_says_what_is_wrong(serve):
    client = serve().client()

    client.send(GET + b"Host: other\r\n\r\n")
    answer = client.answer()

    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "title": "Bad Request",
        "status": 400,
        "detail": "there is more than one Host",
    }


def test_application_words_the_refusal():
    def on_error(refusal):
        return refusal.status, [("X-Field", "a")], refusal.detail.encode()

    connection = MemoryConnection(Application(print, on_error))
    connection.feed(b"GET / HTTP/9.9\r\n\r\n")
    head, body = connection.take().split(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 505 ")
    assert b"X-Field: a" in head
    assert body == b"this version of HTTP is not spoken here"


def test_application_that_fails_to_word_the_refusal_does_not_hide_it(caplog):
    connection = MemoryConnection(Application(print, lambda refusal: 1 / 0))

    connection.feed(b"GET / HTTP/9.9\r\n\r\n")

    assert connection.take().startswith(b"HTTP/1.1 505 ")
    assert "the answer to a malformed request failed" in caplog.text


def test_bytes_after_a_refused_request_are_not_another_request(serve):
    site = serve()
    client = site.client()

    client.send(GET + b"X-Field : a\r\n\r\n" + request("GET", "/hidden"))
    answer = client.answer()

    assert answer.status == 400
    assert client.is_closed()
    assert site.seen == []


def test_request_hidden_in_a_body_is_read_as_body_alone(serve):
    site = serve()
    client = site.client()
    hidden = request("GET", "/hidden")

    client.send(request("POST", "/", body=hidden))
    answer = client.answer()

    assert answer.body == hidden
    assert [exchange.path for exchange in site.seen] == ["/"]
