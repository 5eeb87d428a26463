"""What service and client share: connections with confirms, and publishing from a pool."""

from kombu import Connection, Exchange, Queue, pools

PLACED = Exchange("placed", "topic", durable=True)
PLACED_QUEUE = Queue("placed-bench", PLACED, "placed", durable=True)
REQUESTS = Queue("bench", durable=True)
DEFAULT = Exchange("")


def connect(uri):
    """Return a connection; those of the pool are copies of it."""
    return Connection(uri, transport_options={"confirm_publish": True})


class Publisher:
    """Publishes as JSON, each message by a producer of its own from the pool."""

    def __init__(self, uri):
        self.connection = connect(uri)

    def publish(self, body, routing_key, exchange=DEFAULT, **properties):
        """Publish; return when the broker has confirmed."""
        with pools.producers[self.connection].acquire(block=True) as producer:
            producer.publish(
                body, routing_key=routing_key, exchange=exchange, serializer="json", **properties
            )
