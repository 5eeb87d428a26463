"""What a connection costs, and what is left of it: nothing."""

import gc
import itertools
import resource
import tracemalloc
from pathlib import Path

import pytest

from rpcnode.concurrency import native_socket
from tests.hosting import wait_until
from tests.httpd.client import request

IDLE_COST = 4_000  # bytes
CLIENTS = 300


@pytest.fixture
def connected():
    """Return a function that connects clients of which the test's own memory knows little."""
    sockets = []

    def connected(site, number):
        opened = [native_socket.create_connection(site.server.address) for _ in range(number)]
        sockets.extend(opened)
        return opened

    yield connected
    for sock in sockets:
        sock.close()


def answered(sock):
    try:
        return sock.recv(1000, native_socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


def test_idle_connection_holds_next_to_nothing(serve, connected):
    site = serve()
    site.client().get()  # what is made once is there
    clients = connected(site, CLIENTS)

    tracemalloc.start()
    try:
        for sock in clients:
            sock.sendall(request("GET", "/"))
        wait_until(lambda: len(site.done) == CLIENTS + 1)
        site.seen.clear()
        site.done.clear()
        gc.collect()
        cost = tracemalloc.get_traced_memory()[0] / CLIENTS
    finally:
        tracemalloc.stop()

    assert all(answered(sock) for sock in clients)
    assert site.server.connections == CLIENTS + 1
    assert cost < IDLE_COST


def test_nothing_is_left_of_a_connection_that_was_closed(serve, connected):
    site = serve()

    def use(number):
        for sock in connected(site, number):
            sock.sendall(request("POST", "/", body=b"a" * 1000))
            sock.shutdown(native_socket.SHUT_WR)
        wait_until(lambda: len(site.done) == number)
        wait_until(lambda: not site.server.connections)
        site.seen.clear()
        site.done.clear()

    use(50)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        use(CLIENTS)
        left = tracemalloc.get_traced_memory()[0] / CLIENTS
    finally:
        tracemalloc.stop()
        gc.enable()

    # The test's own sockets, and what Python keeps for new tuples: less than half a connection.
    assert left < 1_000


def test_server_without_files_left_serves_when_there_are_some(serve, connected, caplog):
    site = serve()
    clients = connected(site, 20)
    for sock in clients:
        sock.sendall(request("GET", "/"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(number.name) for number in Path("/proc/self/fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, 5, None))

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        wait_until(lambda: "no connection can be accepted" in caplog.text)
        served = len(site.done)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: len(site.done) == 20)

    assert served < 20
    assert caplog.text.count("no connection can be accepted") == 1
