"""The services of frameworks that host such, each with what its job needs.

Nameko and rpcnode have the same names for all that they need; `framework` has these as attributes.
"""

from itertools import pairwise

from benchmarks.peers.conversation import serve
from benchmarks.peers.dispatching import Handling

QUEUE = "evt-caller-placed--bench0.handle"


def echo_service(framework, service_name):
    """Return a service that answers with what it was given."""

    class Answer(framework.DependencyProvider):
        """Gives a worker what it answers with."""

        def get_dependency(self, worker_ctx):
            """Return a function that gives back its argument."""
            return lambda value: value

    class Bench:
        name = service_name
        answer = Answer()

        @framework.rpc
        def echo(self, value):
            """Return `value`."""
            return self.answer(value)

    return Bench


def link_service(framework, service_name, next_name):
    """Return a service that answers with what the next one answers."""

    class Bench:
        name = service_name
        following = framework.RpcProxy(next_name)

        @framework.rpc
        def echo(self, value):
            """Return `value`."""
            return self.following.echo(value)

    return Bench


def handling_service(framework, service_name, handling):
    """Return a service that handles the event."""

    class Bench:
        name = service_name

        @framework.event_handler("caller", "placed")
        def handle(self, payload):
            """Note that it was handled."""
            handling.handle(payload)

    return Bench


def services_for(framework, settings):
    """Return the services that the job needs."""
    if settings["job"] == "events":
        handling = Handling(settings)
        return [
            handling_service(framework, f"bench{n}", handling) for n in range(settings["handlers"])
        ]
    names = settings["services"]
    if settings["job"] == "chain":
        links = [link_service(framework, *pair) for pair in pairwise(names)]
        return [*links, echo_service(framework, names[-1])]
    return [echo_service(framework, each) for each in names]


def run_service(framework, settings, packages, **config):
    """Host the services of `settings`, on these packages, until the harness ends them."""
    config |= {"AMQP_URI": settings["uri"]}
    if settings["workers"]:
        config["max_workers"] = settings["workers"]
    with framework.run_services(config, *services_for(framework, settings)):
        serve(*packages, queue=QUEUE)
