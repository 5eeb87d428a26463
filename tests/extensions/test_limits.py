"""What is bounded: messages in hand, time, and what one worker leaves to the next."""

import threading
import time
from contextvars import ContextVar

import kombu
import pytest
from amqp.exceptions import NotFound

from rpcnode.amqp import outbox
from rpcnode.amqp.memory import drop_connections
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import Event
from rpcnode.events import BROADCAST, EventHandler, event_handler
from rpcnode.exceptions import BrokerUnavailable
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions import connection as connections
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.messaging import consume
from rpcnode.rpc import rpc
from tests.hosting import hold_publishing, hosted, take, wait_until

QUEUE = kombu.Queue("jobs", durable=True)
EVENTS = "evt-caller-happened--service.handle"


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Held:
    """Makes services whose workers wait until `end` is set, at the latest when a block ends."""

    def __init__(self):
        self.end = Event()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end.set()

    def rpc_service(self, **options):
        held = self

        class Service:
            name = "service"

            @rpc(**options)
            def call(self):
                held.end.wait()

            @rpc(**options)
            def other(self):
                held.end.wait()

        return Service

    def event_service(self, **options):
        class Service:
            name = "service"
            handle = event_handler("caller", "happened", **options)(self._method())

        return Service

    def consumer_service(self, **options):
        class Service:
            name = "service"
            handle = consume(QUEUE, **options)(self._method())

        return Service

    def _method(self):
        def handle(service, payload):
            self.end.wait()

        return handle


@pytest.fixture
def held():
    return Held()


def in_hand(services):
    """Return how many deliveries the service has, running or waiting."""
    return sum(lane.running + lane.pending for lane in services.container("service").lanes)


def depth(services, queue):
    """Return how many messages are ready in a queue; None where it does not exist."""
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        count = channel.queue_declare(queue, passive=True).message_count
    except NotFound:
        return None
    channel.close()
    return count


def check_prefetch(services, queue, expected):
    """Check how many of `expected` + 3 messages the service is given at once."""
    wait_until(lambda: in_hand(services) >= expected)

    assert depth(services, queue) == 3
    assert in_hand(services) == expected


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [
        ({"MAX_WORKERS": 1}, {}, 50),
        ({"MAX_WORKERS": 30}, {}, 60),
        ({"MAX_WORKERS": 4, "PREFETCH_COUNT": 3}, {}, 3),
        ({"MAX_WORKERS": 1, "PREFETCH_COUNT": 55}, {}, 55),
    ],
)
def test_requests_in_hand_are_at_least_fifty_or_twice_the_workers(
    config, held, more, options, expected
):
    with hosted({**config, **more}, held.rpc_service(**options)) as services, held:
        for _ in range(expected + 3):
            services.rpc.service.call.cast()

        check_prefetch(services, "rpc-service", expected)


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [
        ({"MAX_WORKERS": 3}, {}, 3),
        ({"MAX_WORKERS": 9}, {"max_workers": 2}, 2),
        ({"MAX_WORKERS": 3, "PREFETCH_COUNT": 7}, {}, 7),
        ({"MAX_WORKERS": 3, "PREFETCH_COUNT": 1}, {"max_workers": 2}, 1),
    ],
)
@pytest.mark.parametrize("kind", ["events", "messages"])
def test_events_and_messages_in_hand_are_as_many_as_the_workers(
    config, held, kind, more, options, expected
):
    make, queue = {
        "events": (held.event_service, EVENTS),
        "messages": (held.consumer_service, "jobs"),
    }[kind]
    with hosted({**config, **more}, make(**options)) as services, held:
        for number in range(expected + 3):
            if kind == "events":
                services.dispatch("happened", number)
            else:
                services.publish(number, routing_key="jobs")

        check_prefetch(services, queue, expected)


class Counting:
    """Makes a service that counts its calls."""

    def __init__(self):
        self.calls = []
        counting = self

        class Service:
            name = "service"

            @rpc
            def call(self):
                counting.calls.append("called")
                return "returned"

        self.service = Service


@pytest.fixture
def counting():
    return Counting()


def request(services, headers):
    """Send a request without a proxy, and without an expiration at the broker."""
    messaging = services.extension(Messaging)
    exchange = kombu.Exchange("nameko-rpc", type="topic", durable=True)
    messaging.declare(kombu.Queue("answers", exchange, routing_key="answer", durable=True))
    properties = {"message_id": "raw", "content_type": "application/json", "reply_to": "answer"}
    body = b'{"args": [], "kwargs": {}}'
    message = Outgoing("nameko-rpc", "service.call", body, properties, headers, mandatory=True)
    messaging.publisher("raw").publish(message, 5)


@pytest.mark.parametrize(
    ("more", "age", "is_run"),
    [
        ({}, 0.5, True),
        ({}, 3, False),
        ({"CLOCK_SKEW": 3600}, 1800, True),
        ({"CLOCK_SKEW": 0}, 0.5, False),
        ({"CLOCK_SKEW": None}, 3600, True),
    ],
)
def test_deadline_of_another_clock_has_some_leeway(config, counting, more, age, is_run):
    with hosted({**config, **more}, counting.service) as services:
        past = round((time.time() - age) * 1000)
        request(services, {"rpcnode-deadline": past, "rpcnode-timeout-ms": 10_000})
        reply = take(services, "answers")

        assert (b"RpcTimeout" not in reply.body) == is_run
        assert counting.calls == (["called"] if is_run else [])
        assert services.extension(RpcConsumer, "service").counts.expired == (0 if is_run else 1)


@pytest.mark.parametrize("timeout", [{}, {"timeout": None}, {"timeout": 20}])
@pytest.mark.parametrize("dependency", ["dispatch", "publish"])
def test_publishing_takes_no_longer_than_the_worker_has(config, dependency, timeout):
    with hosted(config) as services:
        go_on = hold_publishing(services)
        began = time.monotonic()
        send = services.dependency(dependency, deadline=began + 0.1)
        arguments = ("happened", 1) if dependency == "dispatch" else (1,)
        with pytest.raises(BrokerUnavailable):
            send(*arguments, **timeout)

        assert 0.1 <= time.monotonic() - began < 5
        go_on()


@pytest.mark.parametrize("dependency", ["dispatch", "publish"])
def test_publishing_takes_no_longer_than_it_may(config, dependency):
    with hosted({**config, "PUBLISH_TIMEOUT": 0.1}) as services:
        go_on = hold_publishing(services)
        began = time.monotonic()
        send = services.dependency(dependency, deadline=began + 20)
        arguments = ("happened", 1) if dependency == "dispatch" else (1,)
        with pytest.raises(BrokerUnavailable):
            send(*arguments)

        assert 0.1 <= time.monotonic() - began < 5
        go_on()


def test_event_is_requeued_when_its_dead_copy_is_not_confirmed_in_time(config):
    got, failed_at = [], []

    class Service:
        name = "service"
        message = CurrentMessage()

        @event_handler("caller", "happened")
        def handle(self, payload):
            got.append((payload, self.message.redelivered))
            failed_at.append(time.monotonic())
            if len(got) == 1:
                raise OSError("no disk")

    with (
        hosted(config) as services,
        hosted({**config, "PUBLISH_TIMEOUT": 0.3}, Service) as serving,
    ):
        go_on = hold_publishing(serving, "service")
        services.dispatch("happened", 1)
        copies = serving.extension(Messaging, "service").copies
        wait_until(lambda: copies.pending)
        wait_until(lambda: not copies.pending)
        go_on()  # the crash guard copies what comes again before it runs
        wait_until(lambda: len(got) == 2)

        assert got == [(1, False), (1, True)]
        assert failed_at[1] - failed_at[0] >= 0.3
        assert not depth(services, f"{EVENTS}.dead")


def test_dead_copy_that_can_be_confirmed_in_time_is_tried_until_then(config):
    got = []

    class Service:
        name = "service"

        @event_handler("caller", "happened")
        def handle(self, payload):
            got.append(payload)
            raise OSError("no disk")

    with hosted(config) as services, hosted(config, Service) as serving:
        go_on = hold_publishing(serving, "service")
        services.dispatch("happened", 1)
        wait_until(lambda: got)
        go_on()

        assert take(services, f"{EVENTS}.dead").body == b"1"
        assert got == [1]


def test_reply_that_cannot_be_sent_is_given_up_at_the_deadline(config, counting, monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_DELAY", 0.05)
    with hosted(config) as services:
        with hosted(config, counting.service) as serving:
            go_on = hold_publishing(serving, "service")
            began = time.monotonic()
            request(services, {"rpcnode-timeout-ms": 300})
            consumer = serving.extension(RpcConsumer, "service")
            wait_until(lambda: consumer.counts.expired == 1)
            given_up = time.monotonic()
            go_on()

        assert given_up - began >= 0.3
        assert counting.calls == ["called"]
        assert depth(services, "answers") == 0
        assert depth(services, "rpc-service") == 0


def test_reply_without_a_deadline_is_sent_as_soon_as_it_can_be(config, counting, monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_DELAY", 0.05)
    with hosted(config) as services, hosted(config, counting.service) as serving:
        go_on = hold_publishing(serving, "service")
        reply = services.rpc.service.call.call_async()
        wait_until(lambda: counting.calls)
        go_on()

        assert reply.result() == "returned"
        assert counting.calls == ["called"]


def test_call_whose_reply_is_unconfirmed_at_the_stop_goes_to_the_next_instance(
    config, counting, monkeypatch
):
    monkeypatch.setattr(connections, "CONFIRM_GRACE", 0.1)
    with hosted(config) as services:
        with hosted(config, counting.service) as serving:
            go_on = hold_publishing(serving, "service")
            reply = services.rpc.service.call.call_async()
            wait_until(lambda: counting.calls)
            serving.container("service").stop()

            assert depth(services, "rpc-service") == 1
            go_on()
        with hosted(config, counting.service):
            assert reply.result() == "returned"

    assert counting.calls == ["called", "called"]


def test_failed_events_that_are_held_go_back_at_once_at_the_stop(config):
    class Service:
        name = "service"

        @event_handler("caller", "happened")
        def handle(self, payload):
            raise OSError("no disk")

    with hosted(config) as services:
        with hosted({**config, "DEAD_MAX_LENGTH": 1}, Service) as serving:
            for number in range(3):
                services.dispatch("happened", number)
            messaging = serving.extension(Messaging, "service")
            wait_until(lambda: messaging.dead_letters.is_full)
            wait_until(lambda: depth(services, f"{EVENTS}.dead") == 1)
            began = time.monotonic()
            serving.container("service").stop()

            assert time.monotonic() - began < connections.CONFIRM_GRACE / 2
        assert depth(services, EVENTS) == 2
        assert depth(services, f"{EVENTS}.dead") == 1


def test_broadcast_handler_has_a_new_queue_on_each_connection(config):
    got = []

    class Service:
        name = "service"
        message = CurrentMessage()

        @event_handler("caller", "happened", handler_type=BROADCAST)
        def handle(self, payload):
            got.append(self.message.queue)

    with hosted(config) as services, hosted(config, Service) as serving:
        services.dispatch("happened", 1)
        wait_until(lambda: got)
        drop_connection(config, serving)
        wait_until(lambda: serving.extension(EventHandler, "service")._consumer.is_attached)
        services.dispatch("happened", 2)
        wait_until(lambda: len(got) == 2)

        assert got[0] != got[1]
        assert all(name.startswith(f"{EVENTS}-") for name in got)
        assert depth(services, got[0]) is None


def drop_connection(config, services):
    """Drop the connection on which a service consumes; return when there is another."""
    link = services.extension(Messaging, "service").connection.consuming
    generation = link.generation
    if config["AMQP_URI"].startswith("memory:"):
        drop_connections(config["AMQP_URI"])
    else:
        link.abort("the test wants it")
    wait_until(lambda: link.generation > generation and link.is_connected)


@pytest.mark.parametrize("workers", [1, 10])
def test_nothing_that_a_worker_leaves_in_its_thread_or_context_is_seen_by_the_next(
    config, held, workers
):
    local, variable = threading.local(), ContextVar("variable", default=None)
    seen = []

    class Service:
        name = "service"

        @rpc
        def call(self, number):
            held.end.wait()
            before = getattr(local, "number", None), variable.get()
            local.number = number
            variable.set(number)
            return before

        @event_handler("caller", "happened")
        def handle(self, payload):
            seen.append(self.call(payload))

    with hosted({**config, "MAX_WORKERS": workers}, Service) as services, held:
        replies = [services.rpc.service.call.call_async(number) for number in range(4)]
        wait_until(lambda: in_hand(services) == 4)
        held.end.set()
        results = [reply.result() for reply in replies]
        results.append(services.rpc.service.call(5))
        for number in range(3):
            services.dispatch("happened", number)
        wait_until(lambda: len(seen) == 3)

    assert results == 5 * [[None, None]]
    assert seen == 3 * [(None, None)]
