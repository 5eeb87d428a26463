"""Requests that are traps: they are seen through, and cost others nothing."""

import gzip
import json
import tracemalloc

import pytest

from tests.extensions.attacked import MIB, Neighbour, hosted
from tests.httpd.client import chunked, request

SOON = 1.0  # seconds in which a neighbour is answered, whatever others do


@pytest.fixture
def site():
    with hosted() as site:
        yield site


def post(site, path, *fields, body):
    client = site.client()
    client.send(request("POST", path, *fields, body=body))
    return client.answer()


def test_request_hidden_behind_a_wrong_length_is_never_run(site):
    hidden = request("POST", "/json", body=b"{}")
    lengths = [f"Content-Length: {len(hidden)}\r\nContent-Length: 0", "Content-Length: 0\r\nX: y"]
    framings = [lengths[0], f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked"]
    clients = []
    for framing in framings:
        client = site.client()
        client.send(request("POST", "/echo", framing) + hidden)
        clients.append(client)

    answers = [client.rest() for client in clients]

    assert [answer.count(b"HTTP/1.1 ") for answer in answers] == [1, 1]
    assert all(answer.startswith(b"HTTP/1.1 400") for answer in answers)
    assert site.lives.begun == 0


def test_body_is_read_once_and_is_never_a_request(site):
    hidden = request("GET", "/hello")
    client = site.client()

    client.send(request("POST", "/echo", body=hidden))
    client.send(request("POST", "/echo", "Transfer-Encoding: chunked") + chunked(hidden, hidden))
    client.send(request("GET", "/hello", body=hidden))  # a body that nobody reads

    assert [client.answer().body for _ in range(3)] == [hidden, hidden * 2, b"hello"]
    client.send(request("GET", "/slow"))
    assert client.answer().body == b"slow"


def test_compressed_bomb_is_not_unpacked(site):
    bomb = gzip.compress(json.dumps({"a": "a" * 50 * MIB}).encode())
    tracemalloc.start()
    try:
        answer = post(
            site, "/json", "Content-Type: application/json", "Content-Encoding: gzip", body=bomb
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert answer.status in (400, 415)
    assert peak < 5 * MIB


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b'{"a": ' + b"9" * 900_000 + b"}",
        b"\xff\xfe" * 1000,
        b"\xed\xa0\x80",
    ],
    ids=["lists in lists", "objects in objects", "a long number", "no text", "half a character"],
)
def test_json_that_is_a_trap_is_the_clients_fault(site, body):
    with Neighbour(site) as neighbour:
        answer = post(site, "/json", "Content-Type: application/json", body=body)

    assert answer.status == 400
    assert max(neighbour.waits) < SOON


def test_form_of_very_many_fields_is_refused(site):
    kind = "Content-Type: application/x-www-form-urlencoded"

    with Neighbour(site) as neighbour:
        answer = post(site, "/form", kind, body=b"a=b&" * 250_000)

    assert answer.status in (200, 413)
    assert max(neighbour.waits) < SOON


def test_form_of_very_many_parts_is_refused(site):
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'

    with Neighbour(site) as neighbour:
        answer = post(
            site, "/form", "Content-Type: multipart/form-data; boundary=x", body=part * 15_000
        )

    assert answer.status == 413
    assert max(neighbour.waits) < SOON


@pytest.mark.parametrize(
    "field",
    [
        "Range: bytes=" + ",".join(f"{n}-" for n in range(5000)),
        "Accept: " + ",".join(["*/*;q=0.1"] * 5000),
        "Accept-Encoding: " + "gzip;q=0," * 6000,
        "Cookie: " + "a=b;" * 12_000,
        "X-Forwarded-For: " + "1.2.3.4," * 7000,
        "If-None-Match: " + '"a",' * 12_000,
    ],
    ids=lambda field: field.partition(":")[0],
)
def test_long_field_costs_others_nothing(site, field):
    client = site.client()

    with Neighbour(site) as neighbour:
        for path in ("/hello", "/nowhere"):
            assert client.get(path, field).status in (200, 404)

    assert max(neighbour.waits) < SOON
