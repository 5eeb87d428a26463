"""The client of frameworks that host services: one with proxies and a dispatcher.

Nameko and rpcnode have the same names for all that it needs; `framework` has these as attributes.
"""

from benchmarks.peers.calling import Count, Load, call_first
from benchmarks.peers.conversation import payload, stay, wait_until
from benchmarks.peers.dispatching import Dispatching

PATIENCE = 600  # seconds that a call waits for the service that nobody hosts
FEWEST_WORKERS = 10  # what it has unless told otherwise


def caller_of(framework, names):
    """Return a service that calls the services of these names, and dispatches events."""

    class Caller:
        name = "caller"
        dispatch = framework.EventDispatcher()

        @framework.dummy
        def run(self, work):
            """Do some work, with this worker's dependencies."""
            work(self)

    for each in names:
        setattr(Caller, each, framework.RpcProxy(each))
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

    def count(self):
        """Call as often as wanted, and tell of each mark."""
        count = Count(self.settings["marks"])
        self.spawn_callers(count)
        count.wait()
        stay()

    def pending(self):
        """Measure calls while others wait for their replies: first a few, then many."""
        load, waiting = Load(self.settings), []
        self.spawn_callers(load)
        for number, wanted in enumerate(self.settings["pending"]):
            done = []
            self.spawn(lambda caller, n=wanted, d=done: self.leave_pending(caller, waiting, n, d))
            wait_until(lambda done=done: done)
            load.measure(is_last=number == len(self.settings["pending"]) - 1)

    def leave_pending(self, caller, waiting, wanted, done):
        """Call a service that nobody hosts until `wanted` calls wait for their replies."""
        hold = caller.silent.hold.with_options(timeout=PATIENCE)
        while len(waiting) < wanted:
            waiting.append(hold.call_async())
        # Answered only when the broker has all requests before it: the work of sending is over.
        done.append(caller.bench.echo(self.argument))

    def first(self):
        """Call a service that may still be starting."""
        self.spawn(lambda caller: call_first(lambda: caller.bench.echo(self.argument)))
        stay()

    def events(self):
        """Dispatch for a while."""
        dispatching = Dispatching(self.settings)
        for _ in range(self.in_flight):
            self.spawn(lambda caller: dispatching.dispatch_repeatedly(placed(caller)))
        self.spawn(lambda caller: dispatching.measure(placed(caller)))
        stay()

    def event(self):
        """Dispatch one event."""
        dispatching = Dispatching(self.settings)
        self.spawn(lambda caller: placed(caller)(dispatching.event()) or dispatching.say_done())
        stay()


def placed(caller):
    """Return the function that dispatches an event of the type that is measured."""
    return lambda event: caller.dispatch("placed", event)


def run_client(framework, settings, names, **config):
    """Do the job of `settings`, with proxies for the services of these names."""
    workers = max(FEWEST_WORKERS, settings.get("in_flight", 1) + 1)
    config |= {"AMQP_URI": settings["uri"], "max_workers": workers}
    service = caller_of(framework, names)
    with framework.run_services(config, service) as runner:
        container = runner.service_map[service.name]
        entrypoint = next(iter(container.entrypoints))
        spawn = lambda work: container.spawn_worker(entrypoint, (work,), {})  # noqa: E731 (short)
        getattr(Jobs(settings, spawn), settings["job"])()
