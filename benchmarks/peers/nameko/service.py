"""The services of the measurements, on Nameko."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

from itertools import pairwise

from nameko.events import event_handler
from nameko.extensions import DependencyProvider
from nameko.rpc import RpcProxy, rpc
from nameko.runners import run_services

from benchmarks.peers.conversation import read_settings, serve
from benchmarks.peers.dispatching import Handling


class Answer(DependencyProvider):
    """Gives a worker what it answers with."""

    def get_dependency(self, worker_ctx):
        """Return a function that gives back its argument."""
        return lambda value: value


def echo_service(service_name):
    """Return a service that answers with what it was given."""

    class Bench:
        name = service_name
        answer = Answer()

        @rpc
        def echo(self, value):
            """Return `value`."""
            return self.answer(value)

    return Bench


def link_service(service_name, next_name):
    """Return a service that answers with what the next one answers."""

    class Bench:
        name = service_name
        following = RpcProxy(next_name)

        @rpc
        def echo(self, value):
            """Return `value`."""
            return self.following.echo(value)

    return Bench


def handling_service(service_name, handling):
    """Return a service that handles the event."""

    class Bench:
        name = service_name

        @event_handler("caller", "placed")
        def handle(self, payload):
            """Note that it was handled."""
            handling.handle(payload)

    return Bench


def services_for(settings):
    """Return the services that the job needs."""
    if settings["job"] == "events":
        handling = Handling(settings)
        return [handling_service(f"bench{n}", handling) for n in range(settings["handlers"])]
    names = settings["services"]
    if settings["job"] == "chain":
        links = [link_service(*pair) for pair in pairwise(names)]
        return [*links, echo_service(names[-1])]
    return [echo_service(each) for each in names]


def main():
    """Host the services until the harness ends them."""
    settings = read_settings()
    config = {"AMQP_URI": settings["uri"]}
    if settings["workers"]:
        config["max_workers"] = settings["workers"]
    with run_services(config, *services_for(settings)):
        serve(
            "nameko",
            "kombu",
            "amqp",
            "eventlet",
            "greenlet",
            queue="evt-caller-placed--bench0.handle",
        )


if __name__ == "__main__":
    main()
