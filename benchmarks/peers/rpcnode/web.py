"""The HTTP service of the measurements, on rpcnode."""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

import time

from benchmarks.peers.conversation import read_settings, serve
from rpcnode.extensions import DependencyProvider
from rpcnode.http import http
from rpcnode.runners import run_services


class Greeting(DependencyProvider):
    """Gives a worker what it answers with."""

    def get_dependency(self, worker_ctx):
        """Return a function that makes a greeting."""
        return lambda name: f"hello {name}"


class Bench:
    """What is asked."""

    name = "bench"
    greeting = Greeting()

    @http("GET", "/hello")
    def hello(self, request):
        """Return a text."""
        return self.greeting("world")

    @http("POST", "/orders")
    def order(self, request):
        """Return a part of what was sent."""
        order = request.json
        return {"order": order["order"], "sku": order["sku"], "status": "reserved"}

    @http("GET", "/wait")
    def wait(self, request):
        """Return a text after 50 ms in which others have their turn."""
        time.sleep(0.05)  # the wait that this workload is about
        return self.greeting("world")


def main():
    """Host the service until the harness ends it."""
    settings = read_settings()
    address = f"127.0.0.1:{settings['port']}"
    config = {"WEB_SERVER_ADDRESS": address, "max_workers": settings["workers"]}
    with run_services(config, Bench):
        serve("rpcnode", "httptools", "Werkzeug", "eventlet", "greenlet")


if __name__ == "__main__":
    main()
