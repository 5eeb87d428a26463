"""The HTTP service of the measurements, on Nameko."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import json
import time

from nameko.extensions import DependencyProvider
from nameko.runners import run_services
from nameko.web.handlers import http

from benchmarks.peers.conversation import read_settings, serve


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
        answer = {"order": order["order"], "sku": order["sku"], "status": "reserved"}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer)

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
        serve("nameko", "Werkzeug", "eventlet", "greenlet")


if __name__ == "__main__":
    main()
