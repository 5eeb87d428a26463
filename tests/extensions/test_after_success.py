"""Events that are dispatched only if the worker succeeds, on both brokers."""

from contextlib import ExitStack

import pytest

from rpcnode.concurrency import Event, kill, spawn
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import RemoteError, RpcNodeError
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import Publisher
from rpcnode.rpc import rpc
from rpcnode.testing import entrypoint_hook, worker_factory
from tests.hosting import hosted, wait_until


@pytest.fixture
def serve(config):
    """Return a function that hosts services beside a caller, until the test ends."""
    with ExitStack() as stack:
        yield lambda *services: stack.enter_context(hosted(config, *services))


class Listener:
    """Notes what the shop tells."""

    name = "listener"
    got: list = []

    @event_handler("shop", "#")
    def handle(self, payload):
        self.got.append(payload)


@pytest.fixture(autouse=True)
def got():
    """What the listener got."""
    Listener.got = []
    return Listener.got


class Transaction(DependencyProvider):
    """A dependency that may fail as late as when the worker has completed."""

    def worker_complete(self, worker_ctx, result=None, exc_info=None):
        if result == "conflict":
            raise RuntimeError("somebody else was faster")


class Shop:
    """Dispatches before it knows whether it will succeed."""

    name = "shop"
    dispatch = EventDispatcher(after_success=True)
    tell = EventDispatcher()
    transaction = Transaction()

    @rpc
    def sell(self, outcome, number=1):
        for count in range(number):
            self.dispatch("sold", count)
        self.tell("noted", "at once")
        if outcome == "failure":
            raise ValueError(outcome)
        return outcome


def test_event_leaves_once_the_worker_has_succeeded(serve, got):
    services = serve(Listener, Shop)

    assert services.rpc.shop.sell("success", 3) == "success"
    wait_until(lambda: len(got) == 4)
    assert got[0] == "at once"
    assert got[1:] == [0, 1, 2]


@pytest.mark.parametrize("outcome", ["failure", "conflict"])
def test_event_never_leaves_when_the_worker_fails(serve, got, outcome):
    services = serve(Listener, Shop)

    with pytest.raises(RemoteError):
        services.rpc.shop.sell(outcome)
    services.rpc.shop.sell("success")
    wait_until(lambda: len(got) == 3)
    assert got.count("at once") == 2
    assert got.count(0) == 1


def test_more_events_than_are_sent_at_once_keep_their_order(serve, got):
    services = serve(Listener, Shop)
    services.rpc.shop.sell("success", 250)
    wait_until(lambda: len(got) == 251)

    assert sorted(got[1:]) == list(range(250))


class Watch:
    """Notes what is published, and how many events are unconfirmed at that moment."""

    def __init__(self, messaging):
        self._events = messaging.publisher("shop.events")
        self.seen = []

    def message_published(self, message):
        self.seen.append((message.routing_key, self._events.unconfirmed))


def test_event_is_confirmed_before_the_call_is_answered(serve):
    services = serve(Listener, Shop)
    watch = Watch(services.extension(Messaging, "shop"))
    services.container("shop").observers.add(watch)
    services.rpc.shop.sell("success")

    (_noted, _), (sold, _), (reply, unconfirmed) = watch.seen
    assert sold == "sold"
    assert reply.startswith("rpc.reply-")
    assert unconfirmed == 0


def test_event_that_cannot_be_confirmed_is_the_workers_error(serve):
    class Unlucky:
        name = "unlucky"
        publish = Publisher(routing_key="nowhere", mandatory=True, after_success=True)

        @rpc
        def method(self):
            self.publish("hello")
            return "done"

    services = serve(Unlucky)

    with pytest.raises(RemoteError, match="UndeliverableMessage"):
        services.rpc.unlucky.method()


def test_payload_that_cannot_be_sent_fails_where_it_is_dispatched(serve):
    class Careless:
        name = "careless"
        dispatch = EventDispatcher(after_success=True)

        @rpc
        def method(self):
            try:
                self.dispatch("sold", object())
            except RpcNodeError as exc:
                return type(exc).__name__

    services = serve(Careless)

    assert services.rpc.careless.method() == "UnserializableValueError"


def test_option_of_a_single_dispatch_wins(serve, got):
    class Moody:
        name = "shop"
        dispatch = EventDispatcher()

        @rpc
        def method(self):
            self.dispatch("kept", "kept", after_success=True)
            self.dispatch("sent", "sent")
            raise ValueError("no")

    services = serve(Listener, Moody)
    with pytest.raises(RemoteError):
        services.rpc.shop.method()
    wait_until(lambda: got)

    assert got == ["sent"]


def test_delay_begins_when_the_worker_has_succeeded(serve, got):
    class Patient:
        name = "shop"
        dispatch = EventDispatcher(after_success=True, delay=0.2)

        @rpc
        def method(self):
            self.dispatch("sold", "later")

    services = serve(Listener, Patient)
    services.rpc.shop.method()
    wait_until(lambda: got)

    assert got == ["later"]


def test_dispatch_by_what_outlives_its_worker_is_an_error(serve):
    ended = Event()
    failures = []

    class Careless:
        name = "careless"
        dispatch = EventDispatcher(after_success=True)

        @rpc
        def method(self):
            spawn(self.dispatch_late)

        def dispatch_late(self):
            ended.wait(10)
            try:
                self.dispatch("sold", 1)
            except RpcNodeError as exc:
                failures.append(str(exc))

    services = serve(Careless)
    services.rpc.careless.method()
    ended.set()
    wait_until(lambda: failures)

    assert "has completed: it is too late" in failures[0]


def test_killed_worker_tells_nobody(serve, got):
    runs = []

    class Slow:
        name = "shop"
        dispatch = EventDispatcher(after_success=True)

        @rpc
        def method(self):
            runs.append(len(runs))
            if len(runs) == 1:
                self.dispatch("sold", "never")
                Event().wait(30)

        @rpc
        def mark(self):
            self.dispatch("mark", "mark")

    services = serve(Listener, Slow)
    reply = services.rpc.shop.method.call_async()
    wait_until(lambda: runs)
    (worker,) = services.container("shop").default_lane.threads
    kill(worker)
    reply.result()
    services.rpc.shop.mark()
    wait_until(lambda: got)

    assert runs == [0, 1]
    assert got == ["mark"]


def test_helpers_of_tests_know_it(serve, got):
    services = serve(Listener, Shop)
    with entrypoint_hook(services.container("shop"), "sell") as sell:
        assert sell("success") == "success"
    wait_until(lambda: len(got) == 2)
    shop = worker_factory(Shop)
    shop.sell("success")

    shop.dispatch.assert_called_once_with("sold", 0)
