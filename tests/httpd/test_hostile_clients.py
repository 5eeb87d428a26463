"""Many clients that misbehave at the same time: no neighbour notices, and nothing is left."""

import random
import socket
from contextlib import suppress

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from tests.hosting import wait_until
from tests.httpd.client import chunked, request
from tests.httpd.conftest import TEXT

CLIENTS = 150
LARGE = 3_000_000


def answer(exchange):
    """Echo a body, send a large answer, or feed until the client leaves."""
    if exchange.path == "/large":
        exchange.respond(200, TEXT, b"a" * LARGE)
    elif exchange.path == "/feed":
        exchange.begin(200, TEXT)
        while True:
            exchange.write(b"a" * 1000)
            sleep(0.001)
    else:
        exchange.respond(200, TEXT, exchange.read() or exchange.path.encode())


def leaves_in_a_head(client, chance):
    client.send(request("GET", "/")[: chance.randrange(1, 20)])


def leaves_in_a_body(client, chance):
    client.send(request("POST", "/", "Content-Length: 100000") + b"a" * chance.randrange(90_000))


def leaves_before_the_answer(client, chance):
    client.send(request("GET", "/"))


def leaves_a_large_answer(client, chance):
    client.send(request("GET", "/large") * chance.randrange(1, 4))
    client.exactly(chance.randrange(1, 200_000))


def leaves_a_feed(client, chance):
    client.send(request("GET", "/feed"))
    client.exactly(chance.randrange(1, 20_000))


def asks_and_never_reads(client, chance):
    client.send(request("GET", "/") * 500)


def talks_nonsense(client, chance):
    client.send(chance.randbytes(chance.randrange(1, 5_000)))
    client.rest()


def breaks_its_chunks(client, chance):
    data = request("POST", "/", "Transfer-Encoding: chunked") + chunked(b"abc", b"def" * 100)
    client.send(data[: chance.randrange(70, len(data))] + b"\n\n\n")
    client.rest()


def half_closes(client, chance):
    client.send(request("GET", "/half"))
    client.sock.shutdown(socket.SHUT_WR)
    assert client.answer().body == b"/half"


def says_nothing(client, chance):
    assert client.is_closed()


def drips(client, chance):
    with suppress(OSError):
        while True:
            client.sock.send(b"X")
            sleep(0.02)


MISDEEDS = [
    *(leaves_in_a_head, leaves_in_a_body, leaves_before_the_answer, leaves_a_large_answer),
    *(leaves_a_feed, asks_and_never_reads, talks_nonsense, breaks_its_chunks, half_closes),
    *(says_nothing, drips),
]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_left_of_clients_that_misbehave_and_no_neighbour_notices(serve, seed):
    site = serve(answer, keep_alive=1, header_timeout=1, body_timeout=1, write_timeout=1)
    chance = random.Random(seed)
    is_over = Event()
    bodies = []

    def misbehave(misdeed):
        client = site.client()
        with suppress(EOFError, ConnectionError):
            misdeed(client, chance)
        client.vanish() if chance.random() < 0.5 else client.sock.close()

    def behave():
        while not is_over.is_set():
            bodies.append(site.client().get("/good").body)

    good = [spawn(behave) for _ in range(3)]
    bad = [spawn(misbehave, MISDEEDS[number % len(MISDEEDS)]) for number in range(CLIENTS)]
    for each in bad:
        each.wait()
    is_over.set()
    for each in good:
        each.wait()

    assert set(bodies) == {b"/good"}
    assert len(bodies) > 50
    for client in site.clients:
        client.sock.close()
    wait_until(lambda: not site.server.connections)
    assert site.server.requests_running == 0
    assert len(site.done) == len(site.seen)
