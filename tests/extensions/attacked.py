"""A service that others attack, and a neighbour who must not notice."""

import time
from contextlib import contextmanager
from pathlib import Path

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.extensions import DependencyProvider
from rpcnode.http import http
from rpcnode.runners import run_services
from rpcnode.testing.utils import find_free_port
from tests.hosting import wait_until
from tests.httpd.client import Client

CROWD = 50  # clients
MIB = 1024 * 1024


class Lives(DependencyProvider):
    """Counts the workers that were begun and ended."""

    def setup(self):
        self.begun = self.ended = 0

    def worker_setup(self, worker_ctx):
        self.begun += 1

    def worker_teardown(self, worker_ctx):
        self.ended += 1


class Service:
    name = "service"
    lives = Lives()

    @http("GET", "/hello")
    def hello(self, request):
        return "hello"

    @http("GET", "/slow")
    def slow(self, request):
        sleep(0.02)
        return "slow"

    @http("GET", "/large")
    def large(self, request):
        return b"a" * 5 * MIB

    @http("GET", "/feed")
    def feed(self, request):
        while True:
            yield b"a" * 100_000

    @http("POST", "/echo")
    def echo(self, request):
        return request.get_data()

    @http("POST", "/small", max_body="64 KiB", timeout=60)
    def small(self, request):
        return request.get_data()

    @http("POST", "/json")
    def json(self, request):
        return {"keys": len(request.json)}

    @http("POST", "/form")
    def form(self, request):
        return {"fields": len(request.form), "files": len(request.files)}


class Site:
    """The hosted service, and clients of it."""

    def __init__(self, runner, port):
        self._address = ("127.0.0.1", port)
        self.container = runner.service_map["service"]
        self.lives = next(each for each in self.container.extensions if isinstance(each, Lives))
        server = next(each for each in self.container.subextensions if hasattr(each, "site"))
        self._connections = server.site._server
        self._clients = []

    def client(self):
        client = Client(self._address)
        self._clients.append(client)
        return client

    def crowd(self):
        return [self.client() for _ in range(CROWD)]

    def close(self):
        for client in self._clients:
            client.sock.close()

    @property
    def is_at_rest(self):
        """Whether nothing runs, nothing is open, and each worker that was begun has ended."""
        is_idle = not any(lane.running or lane.pending for lane in self.container.lanes)
        is_done = self.lives.begun == self.lives.ended
        return is_idle and is_done and not self._connections.connections


@contextmanager
def hosted():
    """Host the service with short limits; at the end nothing must be left."""
    port = find_free_port()
    config = {
        "WEB_SERVER_ADDRESS": f"127.0.0.1:{port}",
        "HTTP_HEADER_TIMEOUT": 0.3,
        "HTTP_BODY_TIMEOUT": 0.3,
        "HTTP_WRITE_TIMEOUT": 0.3,
        "HTTP_TIMEOUT": 2,
        "HTTP_MAX_BODY": "1 MiB",
    }
    with run_services(config, Service) as runner:
        site = Site(runner, port)
        yield site
        site.close()
        wait_until(lambda: site.is_at_rest)


def _lost():
    """Return for how many seconds this process has waited for a processor so far."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:  # the system does not tell
        return 0


class Neighbour:
    """A client that does nothing wrong, meanwhile; `waits` has the seconds of its answers.

    The time in which other processes had the processor is left out: that is nobody's attack.
    """

    def __init__(self, site):
        self.waits = []
        self._client = site.client()
        self._is_over = Event()
        self._thread = spawn(self._ask)

    def _ask(self):
        while not self._is_over.wait(0.005):
            begin = time.monotonic() - _lost()
            assert self._client.get("/hello").body == b"hello"
            self.waits.append(time.monotonic() - _lost() - begin)

    def __enter__(self):
        wait_until(lambda: self.waits)
        return self

    def __exit__(self, *_exc_info):
        self._is_over.set()
        self._thread.wait()
        self._client.sock.close()
