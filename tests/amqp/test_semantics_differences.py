"""Where the embedded broker differs from RabbitMQ on purpose, and why.

docs/embedded_broker.md tells users.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from amqp.exceptions import AMQPError

from tests.amqp.conformance import bodies


@dataclass(frozen=True)
class Difference:
    """What both brokers make of one use of them, and the reason why they do not agree."""

    use: Any
    embedded: Any
    rabbitmq: Any
    reason: str


def refusal(client, use):
    """Return the code with which the broker refuses `use(channel)`; None when it does not."""
    try:
        client.provoke(use)
    except AMQPError as exc:
        return exc.reply_code
    return None


def declare(**arguments):
    """Return a function that declares a durable queue with such arguments."""
    named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return lambda client: refusal(
        client,
        lambda channel: channel.queue_declare(
            "q", durable=True, auto_delete=False, arguments=named
        ),
    )


def count_what_the_preferred_consumer_gets(client):
    client.declare()
    preferred = client.consume(arguments={"x-priority": 10})
    client.consume()
    client.publish_all([b""] * 4)
    client.flush("q")
    return len(preferred)


def publish_as_somebody_else(client):
    message = client.channel.prepare_message(b"", properties={"user_id": "somebody"})
    return refusal(client, lambda channel: channel.basic_publish(message, "", "q"))


def find_who_raises_for_an_unknown_tag(client):
    try:
        client.channel.basic_ack(1)
    except AMQPError:
        return "the call"
    return "a later one" if refusal(client, lambda channel: None) else "none"


def use_the_channel_after_an_error(client):
    refusal(client, lambda channel: channel.basic_get("missing"))
    return refusal(client, lambda channel: channel.basic_qos(0, 1, False)) is None


def cancel_with_deliveries_on_their_way(client):
    client.declare()
    client.publish_all([b"1", b"2"])
    received = client.consume(consumer_tag="tag")
    client.channel.basic_cancel("tag")
    client.flush("q")
    return bodies(received)


def recover_what_came_by_consumer_and_by_get(client):
    client.declare()
    client.publish_all([b"by consumer", b"acked", b"by get"])
    received = client.consume(prefetch=2)
    client.until(lambda: len(received) == 2)
    client.take(no_ack=False)
    client.channel.basic_ack(received[1].delivery_tag)
    client.channel.basic_recover(requeue=True)
    client.until(lambda: len(received) == 4)
    return bodies(received[2:])


DIFFERENCES = {
    "streams": Difference(declare(queue_type="stream"), 406, None, "nothing is kept on a disk"),
    "length in bytes": Difference(
        declare(max_length_bytes=1000), 406, None, "refused rather than ignored"
    ),
    "single active consumer": Difference(
        declare(single_active_consumer=True), 406, None, "refused rather than ignored"
    ),
    "prefetch of a whole channel": Difference(
        lambda client: refusal(client, lambda channel: channel.basic_qos(0, 1, True)),
        540,
        None,
        "rpcnode's channels have one consumer; RabbitMQ has deprecated it",
    ),
    "transactions": Difference(
        lambda client: refusal(client, lambda channel: channel.tx_select()),
        540,
        None,
        "confirms do what they are needed for",
    ),
    "priorities of consumers": Difference(
        count_what_the_preferred_consumer_gets, 2, 4, "a preference; consumers take turns"
    ),
    "user ids": Difference(publish_as_somebody_else, None, 406, "there are no users"),
    "errors of methods without an answer": Difference(
        find_who_raises_for_an_unknown_tag, "the call", "a later one", "nothing has to travel"
    ),
    "channels after an error": Difference(
        use_the_channel_after_an_error,
        False,
        True,
        "py-amqp opens a new one under the old number; rpcnode opens its own",
    ),
    "what comes first after a recover": Difference(
        recover_what_came_by_consumer_and_by_get,
        [b"by consumer", b"by get"],
        [b"by get", b"by consumer"],
        "RabbitMQ gives back and delivers consumer by consumer, here all find their places first",
    ),
    "deliveries on their way to a cancelled consumer": Difference(
        cancel_with_deliveries_on_their_way,
        [],
        [b"1", b"2"],
        "what the reader has not taken yet goes back at once",
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_brokers_differ_where_there_is_a_reason(client, broker_uri, name):
    difference = DIFFERENCES[name]

    outcome = difference.use(client)

    is_embedded = broker_uri.startswith("memory:")
    expected = difference.embedded if is_embedded else difference.rabbitmq
    assert outcome == expected, difference.reason
