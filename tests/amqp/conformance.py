"""A client of either broker, through plain kombu and the channel methods that both have."""

from time import monotonic

import kombu
from amqp.exceptions import AMQPError

from tests.amqp.broker import wait_until

EMBEDDED_TRANSPORT = "rpcnode.amqp.memory:Transport"
PATIENCE = 10
BASIC_NACK = (60, 120)
PREPARED = ("priority", "content_type", "content_encoding")  # what kombu wants apart


class Client:
    """One connection with one channel; `channel` is replaced when the broker closes it."""

    def __init__(self, uri):
        transport = EMBEDDED_TRANSPORT if uri.startswith("memory:") else None
        self.connection = kombu.Connection(uri, transport=transport)
        self.connection.connect()
        self.channel = self.connection.channel()
        self.vhost = self.connection.virtual_host
        self.returned = []
        self.channel.events["basic_return"].add(self._note_returned)

    def _note_returned(self, error, exchange, routing_key, message):
        self.returned.append((error.reply_code, exchange, routing_key, message.body))

    def declare(self, name="q", *, channel=None, durable=False, auto_delete=False, **arguments):
        """Declare a queue; `message_ttl=5` is the argument `x-message-ttl`. Return its name."""
        given = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
        declared = (channel or self.channel).queue_declare(
            name, durable=durable, auto_delete=auto_delete, arguments=given
        )
        return declared.queue

    def exchange(self, name, kind, **options):
        """Declare an exchange; return its name."""
        self.channel.exchange_declare(name, kind, **{"auto_delete": False, **options})
        return name

    def publish(
        self, key="q", body=b"body", *, exchange="", headers=None, mandatory=False, **properties
    ):
        """Publish and wait until the broker has dealt with it; MessageNacked if it refuses."""
        named = {key: properties.pop(key, None) for key in PREPARED}
        message = self.channel.prepare_message(
            body, headers=headers, properties=properties, **named
        )
        self.channel.basic_publish_confirm(message, exchange, key, mandatory=mandatory)

    def publish_all(self, bodies, key="q", **options):
        """Publish one message for each body."""
        for body in bodies:
            self.publish(key, body, **options)

    def is_routed(self, key, exchange=""):
        """Return whether a message with that routing key reaches a queue."""
        before = len(self.returned)
        self.publish(key, exchange=exchange, mandatory=True)
        self.flush()
        return len(self.returned) == before

    def consume(self, queue="q", *, channel=None, prefetch=None, **options):
        """Consume a queue; return the list of what comes."""
        received = []
        channel = channel or self.channel
        if prefetch is not None:
            channel.basic_qos(0, prefetch, False)
        channel.basic_consume(queue, callback=received.append, **options)
        return received

    def nack(self, delivery_tag, *, multiple=False, requeue=True):
        """Give back a delivery, or all up to it; py-amqp has no method for it."""
        if hasattr(self.channel, "basic_nack"):
            self.channel.basic_nack(delivery_tag, multiple=multiple, requeue=requeue)
        else:
            self.channel.send_method(BASIC_NACK, "Lbb", (delivery_tag, multiple, requeue))

    def count(self, queue="q"):
        """Return how many messages are ready in a queue."""
        return self.channel.queue_declare(queue, passive=True).message_count

    def take(self, queue="q", *, no_ack=True):
        """Return the first message of a queue, or None."""
        return self.channel.basic_get(queue, no_ack=no_ack)

    def take_all(self, queue="q"):
        """Return the bodies of all messages that are ready in a queue, and remove them."""
        bodies = []
        while (message := self.take(queue)) is not None:
            bodies.append(bytes(message.body))
        return bodies

    def flush(self, *queues):
        """Return when all that the broker has for this connection was handed over.

        A round trip through a queue makes it send its deliveries before; one through the
        channel lets them pass.
        """
        for channel in list(self.connection.connection.channels.values()):
            if isinstance(channel, kombu.transport.base.StdChannel):
                for queue in queues:
                    channel.queue_declare(queue, passive=True)
                for _ in range(2):
                    channel.exchange_declare("amq.direct", "direct", passive=True)
        self._hand_over_what_is_there()

    def _hand_over_what_is_there(self):
        try:
            while True:
                self.connection.drain_events(timeout=0.002)
        except TimeoutError:
            return

    def until(self, condition):
        """Hand over what comes until `condition()` is true; fail when that takes too long."""
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline, "the condition did not come true"
            try:
                self.connection.drain_events(timeout=0.2)
            except TimeoutError:
                continue

    def provoke(self, use):
        """Let the broker's answer to `use(channel)` raise its error here, on the main channel."""
        use(self.channel)
        self.flush()

    def error_of(self, use, *args, **options):
        """Return the error with which the broker answers `use(channel, ...)`, on a new channel.

        RabbitMQ answers what has no answer of its own with the next one that has.
        """
        channel = self.connection.channel()
        try:
            use(channel, *args, **options)
            channel.exchange_declare("amq.direct", "direct", passive=True)
        except AMQPError as exc:
            return exc
        raise AssertionError("the broker has no objection")

    def text(self, error):
        """Return the broker's words, with the virtual host replaced."""
        return error.reply_text.replace(f"'{self.vhost}'", "'/'")

    def close(self):
        """Close the connection."""
        self.connection.close()


def bodies(messages):
    """Return the bodies of messages."""
    return [bytes(message.body) for message in messages]


def redelivered(messages):
    """Return the redelivered flags of messages."""
    return [message.delivery_info["redelivered"] for message in messages]


def declare_with_dead_queue(client, name="q", **arguments):
    """Declare a queue, and one named `dead` that gets what dies in it."""
    client.declare("dead")
    client.declare(name, dead_letter_exchange="", dead_letter_routing_key="dead", **arguments)


def take_dead(client, name="dead"):
    """Wait for a message in a queue, and take it."""
    wait_until(lambda: client.count(name))
    return client.take(name)


def deaths(message):
    """Return queue, reason and count of each death of a message."""
    return [
        (death["queue"], death["reason"], death["count"]) for death in message.headers["x-death"]
    ]
