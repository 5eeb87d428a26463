"""The service of the measurements, on py-amqp."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import json

from eventlet import GreenPool

from benchmarks.peers.conversation import read_settings, serve
from benchmarks.peers.dispatching import Handling
from benchmarks.peers.py_amqp.link import Link

QUEUES = {"rpc": "bench", "events": "placed-bench"}


class Service:
    """Takes messages of one queue, each in a green thread."""

    def __init__(self, settings):
        self.link = Link(settings["uri"])
        self.pool = GreenPool(settings["workers"])
        self.handling = Handling(settings)
        self.queue = QUEUES[settings["job"]]
        work = self.echo if settings["job"] == "rpc" else self.handle
        channel = self.link.consuming
        channel.basic_qos(0, settings["workers"], a_global=False)
        channel.queue_declare(self.queue, durable=True, auto_delete=False)
        if settings["job"] == "events":
            channel.exchange_declare("placed", "topic", durable=True, auto_delete=False)
            channel.queue_bind(self.queue, "placed", "placed")
        channel.basic_consume(
            self.queue, callback=lambda message: self.pool.spawn_n(self.run, work, message)
        )

    def run(self, work, message):
        """Do the work of a message, then ack it."""
        work(message, json.loads(message.body))
        self.link.consuming.basic_ack(message.delivery_tag)

    def echo(self, message, value):
        """Answer with what it was given."""
        asked = message.properties
        self.link.publish(
            value,
            asked["reply_to"],
            correlation_id=asked["correlation_id"],
            delivery_mode=asked["delivery_mode"],
        )

    def handle(self, _message, event):
        """Handle an event."""
        self.handling.handle(event)


def main():
    """Serve until the harness ends it."""
    service = Service(read_settings())
    service.link.start()
    serve("amqp", "eventlet", "greenlet", queue=service.queue)


if __name__ == "__main__":
    main()
