"""A broker that closes the channel of whoever holds a message for too long.

RabbitMQ looks once in a tick of each channel, by default once a minute.
"""

import os

import pytest

from rpcnode.concurrency import Event
from rpcnode.events import EventHandler, event_handler
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from tests.hosting import hosted, wait_until

# The whole proof: RPCNODE_CONSUMER_TIMEOUT=10
TIMEOUT = float(os.environ.get("RPCNODE_CONSUMER_TIMEOUT", "2"))
CLOSED = "PRECONDITION_FAILED"
SET = (
    "application:set_env(rabbit, consumer_timeout, {}), "
    "application:set_env(rabbit, channel_tick_interval, {})."
)
USUAL = (1_800_000, 60_000)  # milliseconds


@pytest.fixture
def impatient_uri(rabbit_server, vhost_uri):
    """The URI of a broker with that timeout, looked at five times as often."""
    milliseconds = round(TIMEOUT * 1000)
    rabbit_server.ctl("eval", SET.format(milliseconds, milliseconds // 5))
    yield vhost_uri
    rabbit_server.ctl("eval", SET.format(*USUAL))


class Slow:
    """Makes a service whose one worker is busy until it is told to go on."""

    def __init__(self):
        self.end, self.events, self.calls = Event(), [], []
        slow = self

        class Service:
            name = "service"

            @event_handler("caller", "happened")
            def handle(self, payload):
                slow.events.append(payload)
                slow.end.wait()

            @rpc
            def call(self, number):
                slow.calls.append(number)
                return number

        self.service = Service

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end.set()


def attachment(services):
    """Return what consumes the events; another one stands there after a channel was closed."""
    (handler,) = [
        each for each in services.container("service").entrypoints if isinstance(each, EventHandler)
    ]
    return handler._consumer._attachment


def test_waiting_messages_never_cost_the_channel(impatient_uri, caplog):
    slow, busy, passed = Slow(), Event(), Event()
    config = {"AMQP_URI": impatient_uri, "MAX_WORKERS": 1, "MAX_WAIT": TIMEOUT / 2}
    with hosted(config, slow.service) as services, slow:
        # A worker that holds no message itself: that would cost the channel in any case.
        services.container("service").default_lane.submit(busy.wait, lambda: None)
        for number in range(3):
            services.dispatch("happened", number)
        replies = [services.rpc.service.call.call_async(number) for number in range(3)]
        before = attachment(services)
        passed.wait(TIMEOUT * 2)  # nothing tells that something does not happen, but time
        busy.set()
        slow.end.set()

        assert [reply.result() for reply in replies] == [0, 1, 2]
        wait_until(lambda: len(slow.events) == 3)
        assert attachment(services) is before
    assert (sorted(slow.calls), sorted(slow.events)) == ([0, 1, 2], [0, 1, 2])
    assert "service has no worker for" in caplog.text
    assert CLOSED not in caplog.text


def test_worker_that_takes_longer_costs_the_channel_but_its_message_runs_once(
    impatient_uri, caplog
):
    slow = Slow()
    config = {"AMQP_URI": impatient_uri, "MAX_WORKERS": 2}
    with hosted(config, slow.service) as services, slow:
        for number in range(3):
            services.dispatch("happened", number)
        intake = services.extension(Messaging, "service").intake
        wait_until(lambda: CLOSED in caplog.text, TIMEOUT * 3)
        wait_until(lambda: intake.taken_over >= 2)
        slow.end.set()

        wait_until(lambda: len(slow.events) == 3)
        wait_until(lambda: not services.container("service").default_lane.running)
    assert sorted(slow.events) == [0, 1, 2]
