"""The client of the measurements, on kombu."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import itertools
import uuid

from eventlet.event import Event
from kombu import Queue
from kombu.mixins import ConsumerMixin

from benchmarks.peers.calling import Load
from benchmarks.peers.conversation import payload, read_settings, stay
from benchmarks.peers.dispatching import Dispatching
from benchmarks.peers.kombu.link import PLACED, Publisher, connect


class Caller(ConsumerMixin):
    """Calls, and hands replies to those who wait for them."""

    def __init__(self, settings):
        self.connection = connect(settings["uri"])
        self.publisher = Publisher(settings["uri"])
        self.replies = Queue(f"replies-{uuid.uuid4()}", exclusive=True)
        self.ids = itertools.count()
        self.waiting = {}
        self.is_ready = Event()

    def get_consumers(self, consumer_class, channel):
        """Return the consumer of replies."""
        return [
            consumer_class(
                [self.replies], callbacks=[self.take_reply], accept=["json"], no_ack=True
            )
        ]

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        """Let the calls begin."""
        self.is_ready.send()

    def take_reply(self, body, message):
        """Hand a reply over."""
        self.waiting.pop(message.properties["correlation_id"]).send(body)

    def call(self, value):
        """Return the reply."""
        correlation_id = str(next(self.ids))
        reply = self.waiting[correlation_id] = Event()
        self.publisher.publish(
            value,
            "bench",
            reply_to=self.replies.name,
            correlation_id=correlation_id,
            delivery_mode=1,
            mandatory=True,
        )
        return reply.wait()


def rpc(settings):
    """Put the load on, and measure."""
    caller, load = Caller(settings), Load(settings)
    value = payload(settings["payload_size"])
    eventlet.spawn(caller.run)
    caller.is_ready.wait()
    for _ in range(settings["in_flight"]):
        eventlet.spawn_n(load.call_repeatedly, lambda: caller.call(value))
    load.measure()


def dispatch_events(settings):
    """Dispatch for a while."""
    dispatching, publisher = Dispatching(settings), Publisher(settings["uri"])

    def dispatch(event):
        publisher.publish(event, "placed", PLACED, delivery_mode=2)

    for _ in range(settings["in_flight"]):
        eventlet.spawn_n(dispatching.dispatch_repeatedly, dispatch)
    dispatching.measure(dispatch)


def main():
    """Do the job."""
    settings = read_settings()
    (dispatch_events if settings["job"] == "events" else rpc)(settings)
    stay()


if __name__ == "__main__":
    main()
