"""The service of the measurements, on kombu."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

from eventlet import GreenPool
from kombu.mixins import ConsumerMixin

from benchmarks.peers.conversation import read_settings, say_ready
from benchmarks.peers.dispatching import Handling
from benchmarks.peers.kombu.link import PLACED_QUEUE, REQUESTS, Publisher, connect


class Service(ConsumerMixin):
    """Takes messages of one queue, each in a green thread."""

    def __init__(self, settings):
        self.connection = connect(settings["uri"])
        self.publisher = Publisher(settings["uri"])
        self.workers = settings["workers"]
        self.pool = GreenPool(self.workers)
        self.handling = Handling(settings) if settings["job"] == "events" else None

    def get_consumers(self, consumer_class, channel):
        """Return the one consumer."""
        queue, callback = (REQUESTS, self.echo) if self.handling is None else self.for_events()
        consumer = consumer_class([queue], accept=["json"], prefetch_count=self.workers)
        consumer.register_callback(lambda body, message: self.pool.spawn_n(callback, body, message))
        return [consumer]

    def for_events(self):
        """Return the queue of events, and what handles one."""
        return PLACED_QUEUE, self.handle

    def on_consume_ready(self, connection, channel, consumers, **kwargs):
        """Say that it can be called."""
        say_ready("kombu", "amqp", "eventlet", "greenlet")

    def echo(self, body, message):
        """Answer with what it was given."""
        asked = message.properties
        self.publisher.publish(
            body, asked["reply_to"], correlation_id=asked["correlation_id"], delivery_mode=1
        )
        message.ack()

    def handle(self, body, message):
        """Handle an event."""
        self.handling.handle(body)
        message.ack()


if __name__ == "__main__":
    Service(read_settings()).run()
