"""Both brokers: the life of queues; where messages end that expire, die, or find no room."""

import pytest
from amqp.exceptions import MessageNacked, PreconditionFailed

from tests.amqp.broker import wait_until
from tests.amqp.conformance import bodies


def declare_with_dead_queue(client, name="q", **arguments):
    """Declare a queue, and one named `dead` that gets what dies in it."""
    client.declare("dead")
    client.declare(name, dead_letter_exchange="", dead_letter_routing_key="dead", **arguments)


def reject(client, name="q"):
    """Take the first message of a queue and let it die."""
    client.channel.basic_reject(client.take(name, no_ack=False).delivery_tag, requeue=False)


def take_dead(client, name="dead"):
    """Wait for a message in a queue, and take it."""
    wait_until(lambda: client.count(name))
    return client.take(name)


def deaths(message):
    """Return queue, reason and count of each death of a message."""
    return [
        (death["queue"], death["reason"], death["count"]) for death in message.headers["x-death"]
    ]


def test_declaration_tells_what_is_there(client):
    client.declare()
    client.publish()
    client.publish()
    client.consume("q", prefetch=1)

    found = client.channel.queue_declare("q", auto_delete=False)

    assert (found.queue, found.message_count, found.consumer_count) == ("q", 1, 1)


def test_queue_without_a_name_gets_one(client):
    first, second = client.declare(""), client.declare("")

    assert first.startswith("amq.gen-")
    assert first != second
    assert client.is_routed(first)


def test_empty_name_means_the_queue_declared_last_on_the_channel(client):
    client.declare("before")
    name = client.declare("")

    client.channel.queue_bind("", "amq.fanout", "")
    client.publish("", b"body", exchange="amq.fanout")

    assert (client.count("before"), client.count(name)) == (0, 1)
    assert client.take("").body == b"body"


def test_empty_name_means_nothing_before_a_queue_was_declared(client):
    error = client.error_of(lambda channel: channel.basic_get(""))

    assert error.reply_code == 404
    assert client.text(error) == "NOT_FOUND - no previously declared queue"


def test_purge_drops_what_is_ready_only(client):
    client.declare()
    client.publish_all([b"unacked", b"1", b"2"])
    taken = client.take(no_ack=False)

    count = client.channel.queue_purge("q")
    client.channel.basic_reject(taken.delivery_tag, requeue=True)
    client.flush("q")

    assert count == 2
    assert client.take_all() == [b"unacked"]


def test_purged_messages_do_not_die(client):
    declare_with_dead_queue(client)
    client.publish()

    client.channel.queue_purge("q")
    client.flush("q", "dead")

    assert client.count("dead") == 0


def test_delete_tells_how_many_messages_were_ready(client):
    declare_with_dead_queue(client)
    client.publish_all([b"unacked", b"1", b"2"])
    client.take(no_ack=False)

    count = client.channel.queue_delete("q")

    assert count == 2
    assert not client.is_routed("q")
    assert client.count("dead") == 0


def test_queue_in_use_can_be_kept_from_deletion(client):
    client.declare()
    client.consume()

    error = client.error_of(lambda channel: channel.queue_delete("q", if_unused=True))

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"
    assert client.is_routed("q")


def test_queue_with_messages_can_be_kept_from_deletion(client):
    client.declare()
    client.publish()

    error = client.error_of(lambda channel: channel.queue_delete("q", if_empty=True))

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"
    assert client.count() == 1


def test_queue_whose_conditions_are_met_is_deleted(client):
    client.declare()

    client.channel.queue_delete("q", if_unused=True, if_empty=True)

    assert not client.is_routed("q")


def test_exchange_in_use_can_be_kept_from_deletion(client):
    client.exchange("x", "fanout")
    client.declare()
    client.channel.queue_bind("q", "x", "")

    error = client.error_of(lambda channel: channel.exchange_delete("x", if_unused=True))
    client.channel.queue_unbind("q", "x", "")
    client.channel.exchange_delete("x", if_unused=True)

    assert client.text(error) == "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"
    gone = client.error_of(lambda channel: channel.exchange_declare("x", "fanout", passive=True))
    assert gone.reply_code == 404


def test_exclusive_queue_goes_with_its_connection(client, new_client):
    other = new_client()
    client.channel.queue_declare("mine", exclusive=True, auto_delete=False)
    client.channel.close()
    while_connected = other.is_routed("mine")

    client.close()

    assert while_connected
    wait_until(lambda: not other.is_routed("mine"))


def test_exclusive_queue_is_open_to_its_own_connection(client):
    client.channel.queue_declare("mine", exclusive=True, auto_delete=False)
    channel = client.connection.channel()
    received = client.consume("mine", channel=channel)

    client.publish("mine")
    client.until(lambda: received)

    assert channel.queue_declare("mine", passive=True).consumer_count == 1


@pytest.mark.parametrize(
    "leave",
    [
        lambda channel: channel.basic_cancel("last"),
        lambda channel: channel.close(),
        lambda channel: channel.connection.close(),
    ],
    ids=["cancel", "close the channel", "close the connection"],
)
def test_auto_delete_queue_goes_with_its_last_consumer(client, new_client, leave):
    other = new_client()
    client.declare(auto_delete=True)
    client.consume(consumer_tag="first")
    client.consume(consumer_tag="last")
    client.channel.basic_cancel("first")
    with_one_consumer = other.is_routed("q")

    leave(client.channel)

    assert with_one_consumer
    wait_until(lambda: not other.is_routed("q"))


def test_auto_delete_queue_that_nobody_consumed_stays(client, new_client):
    client.declare(auto_delete=True)
    client.take()

    client.close()

    assert new_client().is_routed("q")


def test_queue_that_nobody_uses_expires(client):
    client.declare(expires=100)
    client.publish()

    wait_until(lambda: not client.is_routed("q"))


def test_queue_with_a_consumer_does_not_expire(client):
    client.declare(expires=50)
    client.declare("clock", expires=150)
    client.consume(consumer_tag="tag")
    wait_until(lambda: not client.is_routed("clock"))
    while_consumed = client.is_routed("q")

    client.channel.basic_cancel("tag")

    assert while_consumed
    wait_until(lambda: not client.is_routed("q"))


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.take("q"),
        lambda client: client.count("q"),
        lambda client: client.declare("q", expires=400),
    ],
    ids=["get", "passive", "declare"],
)
def test_use_renews_the_lease_of_a_queue(client, use):
    client.declare(expires=400)
    client.declare("clock", expires=200)
    wait_until(lambda: not client.is_routed("clock"))
    use(client)
    client.declare("clock", expires=300)

    wait_until(lambda: not client.is_routed("clock"))

    assert client.is_routed("q")
    wait_until(lambda: not client.is_routed("q"))


def test_message_expires_by_its_own_time(client):
    declare_with_dead_queue(client)
    client.publish(body=b"stays")
    client.channel.queue_purge("q")

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
    client.publish_all([b"stays", b"expires"])
    client.channel.queue_purge("q")
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
    client.publish(body=b"taken", expiration="30")
    taken = client.take(no_ack=False)
    client.publish(body=b"clock", expiration="60")
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


def test_full_queue_drops_its_head(client):
    declare_with_dead_queue(client, max_length=2)

    client.publish_all([b"1", b"2", b"3", b"4"])

    wait_until(lambda: client.count("dead") == 2)
    assert client.take_all() == [b"3", b"4"]
    dead = [client.take("dead") for _ in range(2)]
    assert bodies(dead) == [b"1", b"2"]
    assert deaths(dead[0]) == [("q", "maxlen", 1)]


def test_unacked_messages_do_not_count_for_the_length(client):
    client.declare(max_length=1)
    client.publish(body=b"unacked")
    taken = client.take(no_ack=False)
    client.publish(body=b"ready")
    before = client.count()

    client.channel.basic_reject(taken.delivery_tag, requeue=True)
    client.flush("q")

    assert before == 1
    assert client.take_all() == [b"ready"]


def test_message_given_back_to_a_full_queue_is_its_head_even_with_a_consumer(client):
    client.declare(max_length=1)
    received = client.consume(prefetch=1)
    client.publish_all([b"1", b"2"])
    client.until(lambda: received)

    client.channel.basic_reject(received[0].delivery_tag, requeue=True)
    client.until(lambda: len(received) == 2)

    assert bodies(received) == [b"1", b"2"]
    assert client.count() == 0


def test_queue_without_room_hands_over_to_waiting_consumers(client):
    client.declare(max_length=0)
    client.publish(body=b"dropped")
    received = client.consume()

    client.publish(body=b"taken")
    client.until(lambda: received)

    assert bodies(received) == [b"taken"]


@pytest.mark.parametrize(
    ("overflow", "dead"), [("reject-publish", []), ("reject-publish-dlx", [b"3"])]
)
def test_full_queue_can_refuse_what_comes(client, overflow, dead):
    declare_with_dead_queue(client, max_length=2, overflow=overflow)
    client.publish_all([b"1", b"2"])

    with pytest.raises(MessageNacked):
        client.publish(body=b"3")

    client.flush("q", "dead")
    assert client.take_all() == [b"1", b"2"]
    assert client.take_all("dead") == dead


def test_refusal_of_one_queue_is_told_though_another_took_the_message(client):
    client.declare("full", max_length=0, overflow="reject-publish")
    client.declare("other")
    for name in ("full", "other"):
        client.channel.queue_bind(name, "amq.fanout", "")

    with pytest.raises(MessageNacked):
        client.publish("", exchange="amq.fanout")

    assert (client.count("full"), client.count("other")) == (0, 1)


def test_queue_that_refuses_takes_messages_again_when_it_has_room(client):
    client.declare(max_length=1, overflow="reject-publish")
    client.publish(body=b"1")
    client.take()

    client.publish(body=b"2")

    assert client.take_all() == [b"2"]


def test_publish_to_nobody_is_confirmed(client):
    client.publish("nobody")

    client.publish("nobody", mandatory=True)
    client.flush()

    assert len(client.returned) == 1
