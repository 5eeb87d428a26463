"""Both brokers: how queues live, end, and fill up."""

import pytest
from amqp.exceptions import MessageNacked, PreconditionFailed

from tests.amqp.broker import wait_until
from tests.amqp.conformance import bodies, deaths, declare_with_dead_queue


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
    client.declare(expires=150)
    client.declare("clock", expires=250)
    client.consume(consumer_tag="tag")
    wait_until(lambda: not client.is_routed("clock"))
    while_consumed = client.is_routed("q")

    client.channel.basic_cancel("tag")

    assert while_consumed
    wait_until(lambda: not client.is_routed("q"))


def test_use_renews_the_lease_of_a_queue(client):
    uses = {
        "get": client.take,
        "passive": client.count,
        "declare": lambda name: client.declare(name, expires=600),
    }
    for name in (*uses, "unused"):
        client.declare(name, expires=600)
    client.declare("clock", expires=350)
    wait_until(lambda: not client.is_routed("clock"))
    for name, use in uses.items():
        use(name)
    client.declare("clock", expires=350)

    wait_until(lambda: not client.is_routed("clock"))

    assert {name for name in (*uses, "unused") if client.is_routed(name)} == set(uses)


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
