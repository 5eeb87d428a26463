"""Servers for tests, on ports of their own, in this process."""

from collections.abc import Callable

import pytest

from rpcnode.concurrency import spawn
from rpcnode.httpd.address import BindAddress
from rpcnode.httpd.application import Application
from rpcnode.httpd.server import Server
from rpcnode.httpd.settings import ServerSettings
from tests.httpd.client import Client

TEXT = [("Content-Type", "text/plain")]


class Site:
    """A server whose requests are answered by a function, in a green thread each.

    `done` has what the server told of answers, `seen` the requests.
    """

    def __init__(self, answer, on_request=None, address="127.0.0.1", **settings):
        self.seen = []
        self.done = []
        self.errors = []
        self._answer = answer
        application = Application(on_request or self._on_request, on_done=self._on_done)
        local = BindAddress(address, 0)
        self.server = Server(local, application, ServerSettings(**settings))
        self.server.start()
        self.clients = []

    def _on_request(self, exchange):
        self.seen.append(exchange)
        spawn(self._run, exchange)

    def _run(self, exchange):
        try:
            self._answer(exchange)
        except Exception as exc:
            self.errors.append(exc)
            if not exchange.is_responded:
                exchange.respond(getattr(exc, "status", 500), TEXT, str(exc).encode())
            elif not exchange.is_finished:
                exchange.abort()

    def _on_done(self, exchange, status, bytes_sent, seconds):
        self.done.append((exchange, status, bytes_sent, seconds))

    def client(self, **options):
        client = Client(tuple(self.server.address), **options)
        self.clients.append(client)
        return client

    def close(self):
        self.server.stop(0)
        for client in self.clients:
            client.sock.close()


@pytest.fixture
def serve():
    """Return a function that serves: `serve(answer, **settings)`."""
    sites = []

    def serve(answer: Callable[..., object] = hello, **settings) -> Site:
        site = Site(answer, **settings)
        sites.append(site)
        return site

    yield serve
    for site in sites:
        site.close()


def hello(exchange):
    """Answer with what was sent."""
    exchange.respond(200, TEXT, exchange.read() or exchange.path.encode())
