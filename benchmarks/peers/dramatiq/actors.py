"""The actor of the measurements, on Dramatiq."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

QUEUE = "default"


def declare(uri, handle):
    """Return the broker, and the actor that calls `handle` with an event."""
    broker = RabbitmqBroker(url=uri, confirm_delivery=True)
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(handle, actor_name="handle", queue_name=QUEUE)
