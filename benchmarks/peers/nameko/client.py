"""The client of the measurements, on Nameko: a service with proxies and a dispatcher."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import time

from nameko.events import EventDispatcher
from nameko.rpc import RpcProxy
from nameko.runners import run_services
from nameko.testing.services import dummy

from benchmarks.peers.calling import Load, call_first
from benchmarks.peers.conversation import payload, read_settings
from benchmarks.peers.dispatching import Dispatching

FEWEST_WORKERS = 10  # what it has unless told otherwise


def caller_of(names):
    """Return a service that calls the services of these names, and dispatches events."""

    class Caller:
        name = "caller"
        dispatch = EventDispatcher()

        @dummy
        def run(self, work):
            """Do some work, with this worker's dependencies."""
            work(self)

    for each in names:
        setattr(Caller, each, RpcProxy(each))
    return Caller


class Jobs:
    """What the client can be for; `spawn` runs a function in a worker of its own."""

    def __init__(self, settings, spawn):
        self.settings = settings
        self.names = settings.get("services", [])
        self.in_flight = settings.get("in_flight", 1)
        self.argument = payload(settings["payload_size"])
        self.spawn = spawn

    def spawn_callers(self, load):
        """Keep as many calls in flight as wanted, of one service after the other."""
        for number in range(self.in_flight):
            name = self.names[number % len(self.names)]
            self.spawn(lambda caller, name=name: self.call(load, getattr(caller, name)))

    def call(self, load, proxy):
        """Call until `load` has enough."""
        load.call_repeatedly(lambda: proxy.echo(self.argument))

    def rpc(self):
        """Put the load on, and measure."""
        load = Load(self.settings)
        self.spawn_callers(load)
        load.measure()

    def first(self):
        """Call a service that may still be starting."""
        self.spawn(lambda caller: call_first(lambda: caller.bench.echo(self.argument)))
        while True:
            time.sleep(1)  # until the harness ends it

    def events(self):
        """Dispatch for a while."""
        dispatching = Dispatching(self.settings)
        for _ in range(self.in_flight):
            self.spawn(lambda caller: dispatching.dispatch_repeatedly(placed(caller)))
        self.spawn(lambda caller: dispatching.measure(placed(caller)))
        while True:
            time.sleep(1)  # until the harness ends it

    def event(self):
        """Dispatch one event."""
        dispatching = Dispatching(self.settings)
        self.spawn(lambda caller: placed(caller)(dispatching.event()) or dispatching.say_done())
        while True:
            time.sleep(1)  # until the harness ends it


def placed(caller):
    """Return the function that dispatches an event of the type that is measured."""
    return lambda event: caller.dispatch("placed", event)


def main():
    """Do the job."""
    settings = read_settings()
    workers = max(FEWEST_WORKERS, settings.get("in_flight", 1) + 1)
    config = {"AMQP_URI": settings["uri"], "max_workers": workers}
    service = caller_of(settings.get("services", []))
    with run_services(config, service) as runner:
        container = runner.service_map[service.name]
        entrypoint = next(iter(container.entrypoints))
        spawn = lambda work: container.spawn_worker(entrypoint, (work,), {})  # noqa: E731 (short)
        getattr(Jobs(settings, spawn), settings["job"])()


if __name__ == "__main__":
    main()
