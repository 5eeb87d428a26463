"""Services in processes of their own, and a broker that can be broken."""

import os
import secrets
import signal

import pytest

from tests.cli.conftest import environ, rpcnode, start
from tests.faults.load import Book
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer, with_vhost

__all__ = ["book", "environ", "hosting", "rpcnode", "start"]


@pytest.fixture
def book(tmp_path, environ):
    """What the hosted ledgers write."""
    path = tmp_path / "ledger"
    environ["LEDGER"] = str(path)
    return Book(path)


@pytest.fixture
def hosting(start, book):
    """Return a function that hosts the ledger in a process of its own, up and running."""

    def host(uri, *options):
        process = start("run", "--broker", uri, *options, "tests.faults.ledger")
        process.wait_for("services are up")
        return process

    return host


class OwnServer:
    """A RabbitMQ that may be broken in any way; `uri` is that of the test's virtual host."""

    def __init__(self, server):
        self._server = server
        self._api = ManagementApi(server.api_uri)
        self._vhost = f"test-{secrets.token_hex(4)}"
        self._api.create_vhost(self._vhost)
        self.uri = with_vhost(server.uri, self._vhost)
        self.halt, self.resume, self.restart = server.halt, server.resume, server.restart
        self.ctl = server.ctl

    def freeze(self):
        """Stop its process, as a machine does that has no time for it."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        """Let its process go on."""
        self._signal(signal.SIGCONT)

    def kill(self):
        """End it at once, as a power cut does; its data stay for `resume`."""
        self._signal(signal.SIGKILL)
        self.halt()

    def close(self):
        """Make it fit for the next test."""
        self.thaw()
        self.resume()
        self._api.delete_vhost(self._vhost)

    def _signal(self, number):
        if self._server.is_running:
            os.kill(self._server.pid, number)


@pytest.fixture(scope="session")
def breakable_server():
    server = RabbitServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(breakable_server):
    """A RabbitMQ to be stopped, started, frozen and killed; it is that of all tests that do."""
    server = OwnServer(breakable_server)
    yield server
    server.close()
