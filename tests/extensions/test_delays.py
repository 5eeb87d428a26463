"""Delayed publishing, on both brokers."""

import math
from contextlib import ExitStack
from time import monotonic

import pytest
from kombu import Exchange, Queue

from rpcnode.events import BROADCAST, event_handler
from rpcnode.exceptions import ConfigurationError, UnknownService, UnserializableHeader
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.delays import bucket
from rpcnode.messaging import Publisher, consume
from rpcnode.publish_options import LONGEST_DELAY
from rpcnode.rpc import rpc
from tests.hosting import hosted, wait_until

DELAY = 0.3


@pytest.fixture
def serve(config):
    """Return a function that hosts services beside a caller, until the test ends."""
    with ExitStack() as stack:
        yield lambda *services: stack.enter_context(hosted(config, *services))


def listener():
    class Service:
        name = "service"
        got = []

        @event_handler("caller", "order.*")
        def handle(self, payload):
            self.got.append((payload, monotonic()))

        @rpc
        def method(self, payload):
            self.got.append((payload, monotonic()))

    return Service


def test_event_arrives_after_its_delay_with_its_routing_key(serve):
    service = listener()
    services = serve(service)
    start = monotonic()
    services.dispatch("order.late", "late", delay=DELAY)
    services.dispatch("order.prompt", "prompt")
    wait_until(lambda: len(service.got) == 2)

    (first, _), (second, arrived) = service.got
    assert (first, second) == ("prompt", "late")
    assert DELAY <= arrived - start < DELAY + 1


def test_short_delay_is_not_held_up_by_a_long_one(serve):
    service = listener()
    services = serve(service)
    start = monotonic()
    services.dispatch("order.placed", "long", delay=60)
    services.dispatch("order.placed", "short", delay=DELAY)
    wait_until(lambda: service.got)

    assert service.got[0][0] == "short"
    assert service.got[0][1] - start >= DELAY


def test_delayed_event_reaches_every_handler_that_is_bound(serve):
    got = []

    class Service:
        name = "service"

        @event_handler("caller", "placed")
        def one(self, payload):
            got.append(("one", payload))

        @event_handler("caller", "#")
        def two(self, payload):
            got.append(("two", payload))

        @event_handler("caller", "placed", handler_type=BROADCAST)
        def three(self, payload):
            got.append(("three", payload))

    services = serve(Service)
    services.dispatch("placed", 1, delay=DELAY)
    wait_until(lambda: len(got) == 3)

    assert sorted(got) == [("one", 1), ("three", 1), ("two", 1)]


def test_cast_is_executed_after_its_delay(serve):
    service = listener()
    services = serve(service)
    start = monotonic()
    services.rpc.service.method.with_options(delay=DELAY).cast("later")
    wait_until(lambda: service.got)

    assert service.got[0][0] == "later"
    assert service.got[0][1] - start >= DELAY


def test_delayed_cast_to_nobody_is_an_error_at_once(serve):
    services = serve()

    with pytest.raises(UnknownService, match="nobody"):
        services.rpc.nobody.method.with_options(delay=DELAY).cast()


@pytest.mark.parametrize("call", ["__call__", "call_async"])
def test_call_that_somebody_waits_for_cannot_be_delayed(serve, call):
    services = serve(listener())
    method = services.rpc.service.method.with_options(delay=DELAY)

    with pytest.raises(ConfigurationError, match=r"service\.method: only a cast can have a delay"):
        getattr(method, call)(1)


def test_message_to_the_default_exchange_arrives_in_its_queue(serve):
    got = []

    class Service:
        name = "service"

        @consume(Queue("plain"))
        def handle(self, payload):
            got.append((payload, monotonic()))

    services = serve(Service)
    start = monotonic()
    services.publish("hello", routing_key="plain", delay=DELAY)
    wait_until(lambda: got)

    assert got[0][0] == "hello"
    assert got[0][1] - start >= DELAY


def test_publisher_has_a_delay_of_its_own(serve):
    got = []
    exchange = Exchange("things", type="direct")

    class Service:
        name = "service"
        publish = Publisher(exchange, routing_key="key", delay=DELAY)

        @consume(Queue("things", exchange, routing_key="key"))
        def handle(self, payload):
            got.append((payload, monotonic()))

        @rpc
        def send(self):
            self.publish("hello")
            return "sent"

    services = serve(Service)
    start = monotonic()

    assert services.rpc.service.send() == "sent"
    wait_until(lambda: got)
    assert got[0][1] - start >= DELAY


def test_queue_that_was_deleted_is_made_again(serve):
    service = listener()
    services = serve(service)
    services.dispatch("order.placed", 1, delay=DELAY)
    wait_until(lambda: len(service.got) == 1)
    channel = services.extension(Messaging).connection.consuming.channel()
    channel.queue_delete("rpcnode.hold.caller.events.300")
    services.dispatch("order.placed", 2, delay=DELAY)
    wait_until(lambda: len(service.got) == 2)
    channel.exchange_delete("rpcnode.delay.caller.events.300")
    channel.close()
    services.dispatch("order.placed", 3, delay=DELAY)
    wait_until(lambda: len(service.got) == 3)

    assert [payload for payload, _ in service.got] == [1, 2, 3]


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, True, "3", LONGEST_DELAY + 1])
def test_delay_that_no_broker_can_wait_is_refused(serve, delay):
    services = serve(listener())

    with pytest.raises(ConfigurationError, match="delay must be a number of seconds"):
        services.dispatch("order.placed", 1, delay=delay)
    with pytest.raises(ConfigurationError, match="delay must be a number of seconds"):
        services.rpc.service.method.with_options(delay=delay).cast(1)


@pytest.mark.parametrize("options", [{"mandatory": True}, {"expiration": 5}])
def test_delay_goes_with_nothing_that_only_the_broker_would_know(serve, options):
    services = serve()

    with pytest.raises(ConfigurationError, match="a delayed message can be neither"):
        services.dispatch("placed", 1, delay=DELAY, **options)


def test_headers_leave_room_for_what_the_broker_adds(vhost_uri):
    service = listener()
    with hosted({"AMQP_URI": vhost_uri}, service) as services:
        with pytest.raises(UnserializableHeader, match="the headers take"):
            services.dispatch("order.placed", 1, delay=DELAY, headers={"large": "x" * 130_000})
        services.dispatch("order.placed", 2, delay=DELAY, headers={"large": "x" * 128_000})
        wait_until(lambda: service.got)

    assert [payload for payload, _ in service.got] == [2]


def test_no_delay_is_a_delay_of_zero(serve):
    service = listener()
    services = serve(service)
    services.dispatch("order.placed", 1, delay=0)
    services.rpc.service.method.with_options(delay=0).cast(2)
    wait_until(lambda: len(service.got) == 2)

    assert sorted(payload for payload, _ in service.got) == [1, 2]


def test_delays_share_a_bounded_number_of_queues():
    buckets = {bucket(milliseconds) for milliseconds in range(1, 1_000_001)}

    assert len(buckets) <= 90 * 4 + 1
    assert all(bucket(each) == each for each in (100, 1000, 1500, 30_000, 60_000, 3_600_000))
    assert all(each <= bucket(each) <= each * 1.1 for each in range(100, 1_000_000, 37))
