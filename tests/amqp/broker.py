"""What the tests of the messaging core share: links, messages, a proxy that can fall silent."""

import itertools
from contextlib import contextmanager, suppress
from time import monotonic
from urllib.parse import urlsplit

import kombu

from rpcnode.amqp.connection import Link
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.concurrency import kill, sleep, socket, spawn

_ids = itertools.count(1)


def wait_until(condition, seconds=10):
    """Wait until `condition()` is true; fail when that takes too long."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "the condition did not come true"
        sleep(0.002)


@contextmanager
def linked(uri, **settings):
    """Give an open link, and close it."""
    link = Link(BrokerSettings(uri, **{"reconnect_max_delay": 1, **settings}), "tests'")
    link.open()
    try:
        yield link
    finally:
        link.close()


def outgoing(key, body=b"body", exchange="", headers=None, mandatory=True, **properties):
    """Return a message with an id of its own."""
    identified = {"message_id": f"id-{next(_ids)}", **properties}
    return Outgoing(exchange, key, body, identified, headers or {}, mandatory)


def with_credentials(uri, credentials):
    """Return `uri` with another `user:password`."""
    parts = urlsplit(uri)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{credentials}@{address}").geturl()


def declared(link, name, **options):
    """Declare a durable queue; return its name."""
    channel = link.channel(10)
    kombu.Queue(name, durable=True, **options)(channel).declare()
    channel.close()
    return name


def count(link, name):
    """Return how many messages are ready in a queue."""
    channel = link.channel(10)
    found = channel.queue_declare(name, passive=True).message_count
    channel.close()
    return found


def cut(link):
    """Break the connection, as a network does; return once the link has noticed."""
    generation = link.generation
    link.abort("a test cuts it")
    wait_until(lambda: not link.is_connected or link.generation > generation)


class Proxy:
    """Stands between us and a broker; it can fall silent, be cut, and refuse connections."""

    def __init__(self, uri):
        parts = urlsplit(uri)
        self._target = (parts.hostname, parts.port or 5672)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(20)
        port = self._listener.getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0] or "guest:guest"
        self.uri = parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
        self.accepted = 0
        self.is_silent = False
        self.is_refusing = False
        self._sockets = []
        self._threads = [spawn(self._accept)]

    def cut(self):
        """Break all connections."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):  # it was closed by its peer
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        """Stop."""
        self.is_refusing = True
        self.cut()
        for thread in self._threads:
            kill(thread)
        self._listener.close()

    def _accept(self):
        while True:
            client, _address = self._listener.accept()
            self.accepted += 1
            if self.is_refusing:
                client.close()
                continue
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._threads += [
                spawn(self._pass_on, client, server),
                spawn(self._pass_on, server, client),
            ]

    def _pass_on(self, source, target):
        try:
            while data := source.recv(65536):
                while self.is_silent:
                    sleep(0.01)
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other direction has ended it
