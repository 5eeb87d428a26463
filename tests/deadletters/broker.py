"""Makes queues and letters for tests, and looks at what is in queues."""

import secrets

from kombu import Exchange, Queue

from rpcnode.amqp.entities import dead_queue
from rpcnode.amqp.properties import encode_properties
from rpcnode.amqp.sending import Encoded
from rpcnode.amqp.session import Session
from rpcnode.amqp.settings import settings_from
from rpcnode.config import as_config


class Broker:
    """A broker with the queue `orders` and its dead queue; a context manager."""

    def __init__(self, config):
        self.session = Session(settings_from(as_config(config)), timeout=10)
        self.make_queue("orders")
        self.make_dead_queue("orders.dead")

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.session.close()

    def make_queue(self, name, exchange="", key=None):
        """Make a queue, bound to a topic exchange if one is named."""
        self.session.declare(
            Queue(name, Exchange(exchange, type="topic"), routing_key=key or name, durable=True)
        )

    def make_dead_queue(self, name, max_length=1000):
        self.session.declare(dead_queue(name, max_length))

    def put(self, queue, body=b"{}", headers=None, **properties):
        """Put a message into a queue; its id is `message_id`, or new."""
        known = {"message_id": secrets.token_hex(4), "delivery_mode": 2, **properties}
        encoded = encode_properties(known, headers or {})
        assert self.session.publish([Encoded("", queue, encoded, body)]) == [None]
        return known["message_id"]

    def take(self, queue):
        """Take all that is in a queue out of it."""
        with self.session.read(queue, self.session.count(queue)) as reader:
            messages = list(reader)
            for message in messages:
                reader.ack(message)
        return messages

    def ids(self, queue):
        """Return the ids of what is in a queue, and leave it there."""
        with self.session.read(queue, self.session.count(queue)) as reader:
            return [message.properties.get("message_id") for message in reader]
