"""The proxy of the tests: it does what it is told, and nothing else."""

import socket
import struct
import time
from contextlib import contextmanager

import pytest

from rpcnode.concurrency import spawn, wait_readable
from tests.faults.proxy import TO_BROKER, TO_CLIENT, Proxy
from tests.hosting import wait_until

LINGER_ZERO = struct.pack("ii", 1, 0)


class Peers:
    """A proxy before a listener of ours; `dial` gives both ends of a connection through it."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(f"amqp://127.0.0.1:{self._listener.getsockname()[1]}//")
        self._sockets = []

    def dial(self):
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=5)
        broker, _address = self._listener.accept()
        broker.settimeout(5)
        self._sockets += [client, broker]
        return client, broker

    def close(self):
        self.proxy.close()
        for each in [*self._sockets, self._listener]:
            each.close()


@pytest.fixture
def peers():
    peers = Peers()
    yield peers
    peers.close()


@contextmanager
def nothing_comes(*sockets):
    """Check that nothing can be read while the block runs."""
    for each in sockets:
        each.settimeout(0.1)
    yield
    for each in sockets:
        with pytest.raises(TimeoutError):
            each.recv(1)
        each.settimeout(5)


def read_all(source):
    """Read until the end; return what came."""
    data = b""
    while more := source.recv(65536):
        data += more
    return data


def is_reset(source):
    """Return whether a connection ends with a reset, which green sockets take for any end."""
    wait_readable(source)
    try:
        return source.fd.recv(1) is None  # whatever it is, it is no reset
    except ConnectionResetError:
        return True


def read_exactly(source, size):
    data = b""
    while len(data) < size:
        data += source.recv(size - len(data))
    return data


def test_both_ways_pass_and_are_counted(peers):
    client, broker = peers.dial()
    client.sendall(b"request")
    request = broker.recv(100)
    broker.sendall(b"the reply")
    reply = client.recv(100)

    assert (request, reply) == (b"request", b"the reply")
    assert peers.proxy.accepted == 1
    assert peers.proxy.connections == [1]
    assert peers.proxy.passed(TO_BROKER) == 7
    assert peers.proxy.passed(TO_CLIENT, connection=1) == 9


def test_cut_ends_both_sides_in_good_order(peers):
    pair = peers.dial()

    assert peers.proxy.cut() == 1
    assert [each.recv(1) for each in pair] == [b"", b""]


def test_cut_with_reset_is_one(peers):
    pair = peers.dial()

    peers.proxy.cut(reset=True)

    assert [is_reset(each) for each in pair] == [True, True]


def test_cut_of_one_leaves_the_others(peers):
    first, second = peers.dial(), peers.dial()

    peers.proxy.cut(connection=1)
    second[0].sendall(b"x")

    assert first[0].recv(1) == b""
    assert second[1].recv(1) == b"x"
    wait_until(lambda: peers.proxy.connections == [2])


def test_stall_holds_one_way_until_it_ends(peers):
    client, broker = peers.dial()
    peers.proxy.stall(TO_BROKER)

    with nothing_comes(broker):
        client.sendall(b"held")
        broker.sendall(b"passes")
        assert client.recv(100) == b"passes"
    peers.proxy.resume()

    assert broker.recv(100) == b"held"


def test_stall_makes_the_sender_wait_in_the_end(peers):
    client, _broker = peers.dial()
    peers.proxy.stall()
    client.settimeout(0.3)

    with pytest.raises(TimeoutError):
        client.sendall(bytes(50_000_000))


def test_stall_of_a_connection_to_come_is_for_it_alone(peers):
    peers.proxy.stall(connection=2)
    first, second = peers.dial(), peers.dial()

    with nothing_comes(second[1]):
        second[0].sendall(b"held")
        first[0].sendall(b"passes")
        assert first[1].recv(100) == b"passes"


def test_delay_is_that_of_each_byte(peers):
    client, broker = peers.dial()
    peers.proxy.delay(0.2, TO_BROKER)
    began = time.monotonic()

    client.sendall(b"a")
    assert broker.recv(1) == b"a"
    first = time.monotonic() - began
    for letter in b"bcdefghij":
        client.sendall(bytes([letter]))
    assert read_exactly(broker, 9) == b"bcdefghij"

    assert first >= 0.2
    assert time.monotonic() - began < 1


def test_throttle_passes_so_much_a_second(peers):
    client, broker = peers.dial()
    peers.proxy.throttle(10_000)
    began = time.monotonic()

    client.sendall(bytes(3000))
    read_exactly(broker, 3000)

    assert 0.2 < time.monotonic() - began < 2


@pytest.mark.parametrize("way", [TO_BROKER, TO_CLIENT])
def test_half_close_ends_one_way_and_not_the_other(peers, way):
    client, broker = peers.dial()
    source, target = (client, broker) if way == TO_BROKER else (broker, client)

    assert peers.proxy.half_close(way) == 1
    assert target.recv(1) == b""
    source.sendall(b"dropped")
    target.sendall(b"passes")

    assert source.recv(100) == b"passes"


@pytest.mark.parametrize("size", [0, 1, 5, 70_000])
def test_truncated_connection_passes_so_many_bytes_and_is_cut(peers, size):
    client, broker = peers.dial()
    peers.proxy.truncate(size, TO_BROKER)
    sending = spawn(client.sendall, bytes(100_000))

    assert len(read_all(broker)) == size
    wait_until(lambda: sending.dead)


def test_truncated_connection_can_be_reset(peers):
    peers.proxy.truncate(3, TO_CLIENT, connection=1, reset=True)
    client, broker = peers.dial()

    broker.sendall(b"abcdef")

    assert client.recv(100) == b"abc"
    assert is_reset(client)


def test_end_of_one_side_is_passed_on_and_the_other_may_still_speak(peers):
    client, broker = peers.dial()

    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    request = read_all(broker)
    broker.sendall(b"bye too")
    broker.close()

    assert (request, read_all(client)) == (b"bye", b"bye too")
    wait_until(lambda: peers.proxy.connections == [])


def test_reset_of_one_side_is_passed_on(peers):
    client, broker = peers.dial()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)

    client.close()

    assert is_reset(broker)


def test_refused_connections_are_closed_and_counted(peers):
    proxy = peers.proxy
    proxy.refuse()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as refused:
        assert refused.recv(1) == b""
    proxy.admit()
    client, broker = peers.dial()
    client.sendall(b"x")

    assert broker.recv(1) == b"x"
    assert proxy.accepted == 2


def test_broker_that_is_away_is_away_behind_the_proxy():
    with Proxy("amqp://127.0.0.1:1//") as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
            assert client.recv(1) == b""


def test_healed_proxy_passes_everything(peers):
    client, broker = peers.dial()
    proxy = peers.proxy
    proxy.stall()
    proxy.delay(60)
    proxy.throttle(1)
    proxy.truncate(10, TO_BROKER)
    proxy.refuse()

    proxy.heal()
    later = peers.dial()
    for source, target in ((client, broker), later):
        source.sendall(bytes(1000))
        read_exactly(target, 1000)

    assert proxy.connections == [1, 2]


def test_uri_is_that_of_the_broker_with_another_address():
    with Proxy("amqps://me:secret@localhost:1234/vhost?x=y") as proxy:
        assert proxy.uri == f"amqps://me:secret@127.0.0.1:{proxy.port}/vhost?x=y"
