"""Hostile clients of a real service: they get what they deserve, and nobody else notices."""

from contextlib import suppress

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from tests.extensions.attacked import CROWD, MIB, Neighbour, hosted
from tests.httpd.client import request

SOON = 1.0  # seconds in which a neighbour is answered, whatever others do


@pytest.fixture
def site():
    with hosted() as site:
        yield site


def statuses(clients):
    """Return the statuses of what each client is answered next; 0 where nothing comes."""
    found = []
    for client in clients:
        try:
            found.append(client.answer().status)
        except (EOFError, ConnectionError):
            found.append(0)
    return found


def heads_that_drip(site):
    clients = site.crowd()
    for part in (b"GET /hello HT", b"TP/1.1\r\n", b"Host: a\r\n", b"X-Field: "):
        for client in clients:
            client.send(part)
        sleep(0.01)
    assert statuses(clients) == [408] * CROWD


def bodies_that_drip(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("POST", "/echo", "Content-Length: 1000"))
    is_over = Event()

    def drip():
        while not is_over.wait(0.05):
            for client in clients:
                with suppress(OSError):
                    client.send(b"a")

    dripping = spawn(drip)
    try:
        assert set(statuses(clients)) <= {408, 503, 504}
    finally:
        is_over.set()
        dripping.wait()


def bodies_that_never_come(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("POST", "/echo", "Content-Length: 1000") + b"a")
    assert statuses(clients) == [408] * CROWD


def million_small_headers(site):
    client = site.client()
    client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
    sender = spawn(client.send, b"a:\r\n" * 1_000_000)
    assert client.answer().status == 431
    with suppress(OSError):  # the server hangs up at some time
        sender.wait()


def million_small_chunks(site):
    client = site.client()
    sender = spawn(
        client.send, request("POST", "/small", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * MIB
    )
    assert client.answer().status == 413
    with suppress(OSError):  # the server hangs up at some time
        sender.wait()


def flood_of_requests_at_once(site):
    client, number = site.client(), 2_000
    sender = spawn(client.send, request("GET", "/hello") * number)
    assert [client.answer().body for _ in range(number)] == [b"hello"] * number
    sender.wait()


def flood_of_requests_whose_answers_nobody_reads(site):
    clients = [site.client() for _ in range(5)]
    senders = [spawn(client.send, request("GET", "/large") * 100) for client in clients]
    for sender in senders:
        with suppress(OSError):  # the server has cut it
            sender.wait()


def flood_of_connections(site):
    for _ in range(5):
        for client in site.crowd():
            client.vanish()


def clients_that_vanish_before_their_answer(site):
    for _ in range(3):
        clients = site.crowd()
        for client in clients:
            client.send(request("GET", "/slow"))
        sleep(0)
        for client in clients:
            client.vanish()


def clients_that_vanish_in_a_body(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("POST", "/echo", "Content-Length: 1000") + b"a")
    sleep(0.01)
    for client in clients:
        client.vanish()


def clients_that_vanish_from_a_feed(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("GET", "/feed"))
        client.exactly(1000)
    for client in clients:
        client.vanish()


def half_closed_clients(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("GET", "/slow"))
        client.sock.shutdown(1)
    assert statuses(clients) == [200] * CROWD


def half_closed_clients_in_a_body(site):
    clients = site.crowd()
    for client in clients:
        client.send(request("POST", "/echo", "Content-Length: 1000") + b"a")
        client.sock.shutdown(1)
    assert statuses(clients) == [400] * CROWD


def noise(site):
    clients = site.crowd()
    for number, client in enumerate(clients):
        client.send(bytes((number * each) % 256 for each in range(1, 200)) + b"\r\n\r\n")
    assert set(statuses(clients)) <= {400, 501, 505}


ATTACKS = [
    heads_that_drip,
    bodies_that_drip,
    bodies_that_never_come,
    million_small_headers,
    million_small_chunks,
    flood_of_requests_at_once,
    flood_of_requests_whose_answers_nobody_reads,
    flood_of_connections,
    clients_that_vanish_before_their_answer,
    clients_that_vanish_in_a_body,
    clients_that_vanish_from_a_feed,
    half_closed_clients,
    half_closed_clients_in_a_body,
    noise,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nobody_notices_hostile_neighbours(site, attack):
    with Neighbour(site) as neighbour:
        attack(site)

    assert max(neighbour.waits) < SOON
    # That nothing is left, no worker and no connection, is seen to by the fixture.
