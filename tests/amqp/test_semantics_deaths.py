"""Both brokers: messages that expire or die, and where they go."""

import pytest

from tests.amqp.broker import wait_until
from tests.amqp.conformance import bodies, deaths, declare_with_dead_queue, take_dead


def reject(client, name="q"):
    """Take the first message of a queue and let it die."""
    client.channel.basic_reject(client.take(name, no_ack=False).delivery_tag, requeue=False)


def test_message_expires_by_its_own_time(client):
    declare_with_dead_queue(client)

    client.publish(body=b"expires", expiration="20")

    assert take_dead(client).body == b"expires"
    assert client.count() == 0


def test_message_expires_by_the_time_of_its_queue(client):
    declare_with_dead_queue(client, message_ttl=20)

    client.publish_all([b"1", b"2"])

    wait_until(lambda: client.count("dead") == 2)
    assert client.take_all("dead") == [b"1", b"2"]


@pytest.mark.parametrize(("ttl", "expiration"), [(20, "60000"), (60_000, "20")])
def test_the_smaller_of_two_times_counts(client, ttl, expiration):
    declare_with_dead_queue(client, message_ttl=ttl)

    client.publish(expiration=expiration)

    assert deaths(take_dead(client)) == [("q", "expired", 1)]


def test_message_expires_at_the_head_of_its_queue_only(client):
    declare_with_dead_queue(client)
    client.declare("clock", message_ttl=50, dead_letter_exchange="", dead_letter_routing_key="rang")
    client.declare("rang")
    client.publish_all([b"stays"])
    client.publish_all([b"short", b"shorter"], expiration="1")
    client.publish("clock")
    take_dead(client, "rang")
    while_behind = client.count()

    head = client.take()

    wait_until(lambda: client.count("dead") == 2)
    assert (while_behind, head.body, client.count()) == (3, b"stays", 0)
    assert client.take_all("dead") == [b"short", b"shorter"]


def test_expired_message_is_not_delivered(client):
    declare_with_dead_queue(client)
    client.publish(body=b"blocks", expiration="60000")
    client.publish(body=b"expires", expiration="1")
    received = client.consume(prefetch=1)
    client.until(lambda: received)
    client.publish(body=b"comes")

    take_dead(client)
    client.channel.basic_ack(received[0].delivery_tag)
    client.until(lambda: len(received) == 2)

    assert bodies(received) == [b"blocks", b"comes"]


def test_message_without_time_to_live_reaches_a_waiting_consumer_only(client):
    declare_with_dead_queue(client)
    client.publish(body=b"lost", expiration="0")
    lost = take_dead(client)
    received = client.consume()

    client.publish(body=b"taken", expiration="0")
    client.until(lambda: received)

    assert lost.body == b"lost"
    assert bodies(received) == [b"taken"]


def test_unacked_message_does_not_expire_until_it_is_given_back(client):
    declare_with_dead_queue(client)
    client.publish(body=b"taken", expiration="200")
    taken = client.take(no_ack=False)
    client.publish(body=b"clock", expiration="250")
    first = take_dead(client)

    client.channel.basic_reject(taken.delivery_tag, requeue=True)

    assert (first.body, take_dead(client).body) == (b"clock", b"taken")


def test_dead_message_tells_its_story(client):
    client.declare("dead")
    client.channel.queue_bind("dead", "amq.topic", "dead.#")
    client.declare(dead_letter_exchange="amq.topic", dead_letter_routing_key="dead.key")
    client.publish(
        headers={"mine": 1, "CC": ["q", "copy"]},
        expiration="10",
        correlation_id="c",
        delivery_mode=2,
    )

    message = take_dead(client)

    death = message.headers.pop("x-death")[0]
    assert message.delivery_info["exchange"] == "amq.topic"
    assert message.delivery_info["routing_key"] == "dead.key"
    assert message.delivery_info["redelivered"] is False
    assert message.properties["correlation_id"] == "c"
    assert message.properties["delivery_mode"] == 2
    assert "expiration" not in message.properties
    assert message.headers == {
        "mine": 1,
        "x-first-death-exchange": "",
        "x-first-death-queue": "q",
        "x-first-death-reason": "expired",
    }
    assert death.pop("time").year >= 2024
    assert death == {
        "count": 1,
        "exchange": "",
        "original-expiration": "10",
        "queue": "q",
        "reason": "expired",
        "routing-keys": ["q", "q", "copy"],
    }


def test_dead_message_keeps_its_keys_where_the_queue_names_none(client):
    for name in ("key", "copy", "blind"):
        client.declare(name)
        client.channel.queue_bind(name, "amq.direct", name)
    client.declare(dead_letter_exchange="amq.direct")
    client.exchange("x", "fanout")
    client.channel.queue_bind("q", "x", "")
    client.publish("key", exchange="x", headers={"CC": ["copy"], "BCC": ["blind"]})

    reject(client)

    dead = [take_dead(client, name) for name in ("key", "copy", "blind")]
    assert [one.delivery_info["routing_key"] for one in dead] == ["key"] * 3
    assert dead[0].headers["CC"] == ["copy"]
    assert dead[0].headers["x-death"][0]["routing-keys"] == ["key", "copy"]
    assert dead[0].headers["x-death"][0]["exchange"] == "x"


def test_blind_copies_get_no_dead_messages_where_the_queue_names_a_key(client):
    declare_with_dead_queue(client)
    client.declare("blind")
    client.publish(headers={"BCC": ["blind"]})
    client.channel.queue_purge("blind")

    reject(client)

    assert "BCC" not in take_dead(client).headers
    assert client.count("blind") == 0


def test_second_death_for_the_same_reason_is_counted_and_comes_first(client):
    client.declare("first", dead_letter_exchange="", dead_letter_routing_key="second")
    client.declare("second", dead_letter_exchange="", dead_letter_routing_key="first")
    client.publish("first")

    for name in ("first", "second", "first"):
        wait_until(lambda name=name: client.count(name))
        reject(client, name)

    message = take_dead(client, "second")
    assert deaths(message) == [("first", "rejected", 2), ("second", "rejected", 1)]
    assert message.headers["x-first-death-queue"] == "first"


def test_deaths_for_other_reasons_are_counted_apart(client):
    client.declare("q", dead_letter_exchange="", dead_letter_routing_key="hold")
    client.declare("hold", message_ttl=10, dead_letter_exchange="", dead_letter_routing_key="q")
    client.publish()

    for _ in range(3):
        wait_until(client.count)
        reject(client)

    assert deaths(take_dead(client, "q")) == [("hold", "expired", 3), ("q", "rejected", 3)]


def test_cycle_of_dead_letters_without_a_rejection_is_broken(client):
    client.declare("a", message_ttl=10, dead_letter_exchange="", dead_letter_routing_key="b")
    client.declare("b", message_ttl=10, dead_letter_exchange="", dead_letter_routing_key="a")

    client.publish("a")

    wait_until(lambda: (client.count("a"), client.count("b")) == (0, 0))
    declare_with_dead_queue(client, "clock", message_ttl=60)
    client.publish("clock")
    take_dead(client)
    assert (client.count("a"), client.count("b")) == (0, 0)


def test_queue_may_send_its_rejected_messages_to_itself(client):
    client.declare(dead_letter_exchange="", dead_letter_routing_key="q")
    client.publish()

    for _ in range(3):
        wait_until(client.count)
        reject(client)

    assert deaths(take_dead(client, "q")) == [("q", "rejected", 3)]


def test_message_that_has_nowhere_to_go_when_it_dies_is_dropped(client):
    client.declare("nowhere", dead_letter_exchange="missing")
    client.declare("nobody", dead_letter_exchange="amq.direct", dead_letter_routing_key="nobody")
    for name in ("nowhere", "nobody"):
        client.publish(name)

        reject(client, name)

    client.flush("nowhere", "nobody")
    assert (client.count("nowhere"), client.count("nobody")) == (0, 0)


def test_nacked_messages_die_in_order(client):
    declare_with_dead_queue(client)
    client.publish_all([b"1", b"2", b"3"])
    tags = [client.take(no_ack=False).delivery_tag for _ in range(3)]

    client.nack(tags[-1], multiple=True, requeue=False)

    wait_until(lambda: client.count("dead") == 3)
    assert client.take_all("dead") == [b"1", b"2", b"3"]
