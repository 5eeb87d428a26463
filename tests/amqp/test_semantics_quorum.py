"""Both brokers: quorum queues, which count how often a message came back."""

import pytest

from tests.amqp.broker import wait_until
from tests.amqp.conformance import deaths, redelivered, take_dead

QUORUM = {"queue_type": "quorum"}
DEATH = {
    "dead_letter_exchange": "",
    "dead_letter_routing_key": "dead",
    "dead_letter_strategy": "at-least-once",
    "overflow": "reject-publish",
}


def declare(client, name="q", **arguments):
    """Declare a quorum queue."""
    return client.declare(name, durable=True, **QUORUM, **arguments)


def returns(message):
    """Return how often a delivery says that its message came back."""
    return (message.headers or {}).get("x-delivery-count") or 0


def fetch(client, name="q"):
    """Take a message that is to be given back, as soon as there is one."""
    wait_until(lambda: client.count(name))
    return client.take(name, no_ack=False)


def test_each_return_is_counted_in_a_header(client):
    declare(client)
    client.publish(headers={"mine": 1})
    seen = []
    for _ in range(3):
        seen.append(fetch(client))
        client.channel.basic_reject(seen[-1].delivery_tag, requeue=True)

    assert [returns(message) for message in seen] == [0, 1, 2]
    assert redelivered(seen) == [False, True, True]
    assert all(message.headers["mine"] == 1 for message in seen)


def test_nack_and_a_channel_that_closes_are_returns_too(client, new_client):
    declare(client)
    client.publish()
    client.nack(fetch(client).delivery_tag)
    other = new_client()
    assert returns(fetch(other)) == 1
    other.close()

    assert returns(fetch(client)) == 2


def test_header_of_a_sender_counts_nothing(client):
    declare(client)

    client.publish(headers={"x-delivery-count": 7})
    client.channel.basic_reject(fetch(client).delivery_tag, requeue=True)

    assert returns(fetch(client)) == 1


def test_message_that_comes_back_too_often_dies(client):
    client.declare("dead")
    declare(client, delivery_limit=2, **DEATH)
    client.publish(body=b"returns")
    for _ in range(3):
        client.channel.basic_reject(fetch(client).delivery_tag, requeue=True)

    dead = take_dead(client)

    assert dead.body == b"returns"
    assert deaths(dead) == [("q", "delivery_limit", 1)]
    assert client.count() == 0


def test_message_without_a_limit_comes_back_for_ever(client):
    declare(client)
    client.publish()
    for _ in range(30):
        client.channel.basic_reject(fetch(client).delivery_tag, requeue=True)

    assert returns(fetch(client)) == 30


def test_dead_message_is_kept_while_nothing_takes_it(client):
    declare(client, delivery_limit=0, **DEATH)
    client.publish(body=b"kept")
    client.channel.basic_reject(fetch(client).delivery_tag, requeue=True)
    client.flush("q")

    assert client.take() is None
    # RabbitMQ offers it again after minutes, the embedded broker after a second.
    if client.connection.transport.driver_type == "memory":
        client.declare("dead")
        assert take_dead(client).body == b"kept"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"durable": False}, "invalid property 'non-durable' for queue 'q'"),
        ({"durable": True, "auto_delete": True}, "invalid property 'auto-delete' for queue 'q'"),
        ({"durable": True, "max_priority": 3}, "invalid arg 'x-max-priority' for queue 'q'"),
        (
            {"durable": True, "dead_letter_strategy": "never", "dead_letter_exchange": ""},
            "invalid arg 'x-dead-letter-strategy' for queue 'q' in vhost '/': invalid_dlx_strategy",
        ),
    ],
)
def test_what_a_quorum_queue_cannot_be_is_refused(client, options, text):
    error = client.error_of(lambda channel: client.declare(channel=channel, **QUORUM, **options))

    assert error.reply_code == 406
    assert text in client.text(error)


@pytest.mark.parametrize("argument", ["delivery_limit", "dead_letter_strategy"])
def test_arguments_of_quorum_queues_are_for_them_only(client, argument):
    value = {"delivery_limit": 3, "dead_letter_strategy": "at-least-once"}[argument]

    error = client.error_of(
        lambda channel: client.declare(channel=channel, durable=True, **{argument: value})
    )

    assert f"invalid arg 'x-{argument.replace('_', '-')}' for queue 'q'" in client.text(error)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (
            {},
            {**QUORUM, **DEATH},
            "'x-dead-letter-exchange' for queue 'q' in vhost '/': received the value '' of type "
            "'longstr' but current is none",
        ),
        (
            {},
            QUORUM,
            "'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type "
            "'longstr' but current is none",
        ),
        (
            QUORUM,
            {},
            "'x-queue-type' for queue 'q' in vhost '/': received none but current is the value "
            "'quorum' of type 'longstr'",
        ),
        (
            {**QUORUM, "delivery_limit": 3},
            {**QUORUM, "delivery_limit": 4},
            "'x-delivery-limit' for queue 'q' in vhost '/': received '4' but current is '3'",
        ),
    ],
)
def test_queue_that_is_there_otherwise_is_refused(client, before, after, text):
    client.declare(durable=True, **before)

    error = client.error_of(lambda channel: client.declare(channel=channel, durable=True, **after))

    assert error.reply_code == 406
    assert client.text(error) == f"PRECONDITION_FAILED - inequivalent arg {text}"
