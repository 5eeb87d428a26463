"""Both brokers: deliveries, acknowledgement, redelivery, prefetch, consumers."""

import pytest
from amqp.exceptions import AccessRefused, ConsumerCancelled

from tests.amqp.broker import wait_until
from tests.amqp.conformance import bodies, redelivered

NUMBERS = [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_message_stays_with_the_broker_until_it_is_acked(client, new_client):
    client.declare()
    client.publish_all(NUMBERS[:3])
    received = client.consume()
    client.until(lambda: len(received) == 3)
    ready_while_unacked = client.count()

    client.channel.basic_ack(received[1].delivery_tag)
    client.close()

    other = new_client()
    wait_until(lambda: other.count() == 2)
    assert ready_while_unacked == 0
    assert other.take_all() == [b"0", b"2"]


@pytest.mark.parametrize("whole_connection", [False, True], ids=["channel", "connection"])
def test_unacked_messages_come_again_in_order_when_their_channel_is_gone(
    client, new_client, whole_connection
):
    client.declare()
    client.publish_all(NUMBERS)
    other = new_client()
    channel = other.connection.channel()
    received = other.consume(channel=channel, prefetch=4)
    other.until(lambda: len(received) == 4)

    (other if whole_connection else channel).close()
    wait_until(lambda: client.count() == 6)

    again = [client.take() for _ in NUMBERS]
    assert redelivered(received) == [False] * 4
    assert bodies(again) == NUMBERS
    assert redelivered(again) == [True] * 4 + [False] * 2


def test_delivery_tells_where_it_comes_from(client):
    client.declare()
    received = client.consume(consumer_tag="mine")

    client.publish(body=b"\x00\xff")
    client.until(lambda: received)

    info = received[0].delivery_info
    assert (received[0].body, received[0].delivery_tag) == (b"\x00\xff", 1)
    assert received[0].channel is client.channel
    assert {key: info[key] for key in ("consumer_tag", "exchange", "routing_key")} == {
        "consumer_tag": "mine",
        "exchange": "",
        "routing_key": "q",
    }


def test_rejected_message_is_dropped_unless_it_is_requeued(client):
    client.declare()
    client.publish_all(NUMBERS[:2])
    first, second = client.take(no_ack=False), client.take(no_ack=False)

    client.channel.basic_reject(first.delivery_tag, requeue=False)
    client.channel.basic_reject(second.delivery_tag, requeue=True)
    client.flush("q")

    again = client.take()
    assert (again.body, again.delivery_info["redelivered"]) == (b"1", True)
    assert client.take() is None


def test_requeued_message_takes_its_old_place(client):
    client.declare()
    client.publish_all(NUMBERS)
    taken = [client.take(no_ack=False) for _ in range(4)]

    for index in (2, 0, 3):
        client.nack(taken[index].delivery_tag, requeue=True)
    client.flush("q")

    assert client.take_all() == [b"0", b"2", b"3", b"4", b"5"]


def test_interleaved_messages_of_two_channels_find_their_places(client):
    client.declare()
    client.publish_all(NUMBERS)
    channels = [client.connection.channel() for _ in range(2)]
    for index in range(6):
        channels[index % 2].basic_get("q")

    for channel in channels:
        channel.close()
    wait_until(lambda: client.count() == 6)

    assert client.take_all() == NUMBERS


@pytest.mark.parametrize(("is_ack", "settled"), [(True, []), (False, NUMBERS[:3])])
def test_multiple_means_all_up_to_that_delivery(client, is_ack, settled):
    client.declare()
    client.publish_all(NUMBERS)
    taken = [client.take(no_ack=False) for _ in range(4)]

    settle = client.channel.basic_ack if is_ack else client.nack
    settle(taken[2].delivery_tag, multiple=True)
    client.channel.basic_recover(requeue=True)
    client.flush("q")

    assert client.take_all() == [*settled, *NUMBERS[3:]]


def test_tag_zero_and_multiple_mean_all_that_is_unacked(client):
    client.declare()
    client.publish_all(NUMBERS)
    for _ in range(4):
        client.take(no_ack=False)

    client.channel.basic_ack(0, multiple=True)
    client.channel.basic_ack(0, multiple=True)
    client.channel.basic_recover(requeue=True)
    client.flush("q")

    assert client.take_all() == NUMBERS[4:]


def test_nack_of_several_without_requeue_drops_them(client):
    client.declare()
    client.publish_all(NUMBERS)
    taken = [client.take(no_ack=False) for _ in range(4)]

    client.nack(taken[2].delivery_tag, multiple=True, requeue=False)
    client.channel.basic_recover(requeue=True)
    client.flush("q")

    assert client.take_all() == NUMBERS[3:]


def test_recover_gives_back_what_the_channel_has_unacked(client):
    client.declare()
    client.publish_all(NUMBERS[:2])
    received = client.consume()
    client.until(lambda: len(received) == 2)

    client.channel.basic_recover(requeue=True)
    client.until(lambda: len(received) == 4)

    assert bodies(received) == [b"0", b"1", b"0", b"1"]
    assert redelivered(received) == [False, False, True, True]


def test_prefetch_limits_each_consumer_and_acks_make_room(client):
    client.declare()
    client.publish_all(NUMBERS)
    received = client.consume(prefetch=2)
    client.flush("q")
    at_first = bodies(received)

    client.channel.basic_ack(received[0].delivery_tag)
    client.until(lambda: len(received) > 2)
    client.flush("q")
    after_ack = bodies(received)
    client.nack(received[2].delivery_tag, multiple=True, requeue=False)
    client.until(lambda: len(received) > 3)
    client.flush("q")

    assert at_first == NUMBERS[:2]
    assert after_ack == NUMBERS[:3]
    assert bodies(received) == NUMBERS[:5]


def test_prefetch_belongs_to_the_consumers_made_after_it(client):
    client.declare("free")
    client.declare("limited")
    free = client.consume("free")
    limited = client.consume("limited", prefetch=1)
    other_limit = client.consume("limited", prefetch=2)

    for key in ("free", "limited"):
        client.publish_all(NUMBERS, key)
    client.flush("free", "limited")

    assert (len(free), len(limited), len(other_limit)) == (6, 1, 2)
    assert client.count("limited") == 3


def test_consumer_without_acks_ignores_prefetch_and_leaves_nothing_to_give_back(client):
    client.declare()
    channel = client.connection.channel()
    received = client.consume(channel=channel, prefetch=1, no_ack=True)

    client.publish_all(NUMBERS)
    client.until(lambda: len(received) == 6)
    channel.close()

    assert client.count() == 0


def test_requeued_message_can_come_to_the_same_consumer_again(client):
    client.declare()
    client.publish_all(NUMBERS[:2])
    received = client.consume(prefetch=1)
    client.until(lambda: received)

    client.channel.basic_reject(received[0].delivery_tag, requeue=True)
    client.until(lambda: len(received) == 2)

    assert bodies(received) == [b"0", b"0"]
    assert redelivered(received) == [False, True]


def test_consumers_of_one_queue_take_turns(client, new_client):
    client.declare()
    other = new_client()
    channels = [client.channel, client.connection.channel()]
    received = [client.consume(channel=channel) for channel in channels]
    received += [client.consume(), other.consume()]

    client.publish_all(b"%d" % number for number in range(8))
    client.flush("q")
    other.flush("q")

    assert [len(messages) for messages in received] == [2, 2, 2, 2]
    assert sorted(body for each in received for body in bodies(each)) == [
        b"%d" % number for number in range(8)
    ]


def test_busy_consumer_leaves_messages_to_the_others(client):
    client.declare()
    busy = client.consume(prefetch=1)
    idle = client.consume(prefetch=10)

    client.publish_all(NUMBERS)
    client.flush("q")

    assert (len(busy), len(idle)) == (1, 5)


def test_two_consumers_on_one_connection_hear_their_own_queues(client):
    client.declare("one")
    client.declare("two")
    one = client.consume("one")
    two = client.consume("two", channel=client.connection.channel())

    client.publish_all([b"1"], "one")
    client.publish_all([b"2"], "two")
    client.until(lambda: one and two)

    assert (bodies(one), bodies(two)) == ([b"1"], [b"2"])


def test_message_that_one_connection_gives_back_goes_to_another(client, new_client):
    client.declare()
    other = new_client()
    first = client.consume(prefetch=2)
    client.publish_all(NUMBERS[:2])
    client.until(lambda: len(first) == 2)
    second = other.consume()

    client.close()
    other.until(lambda: len(second) == 2)

    assert bodies(second) == [b"0", b"1"]
    assert redelivered(second) == [True, True]


def test_cancelled_consumer_keeps_what_it_has_and_gets_nothing_more(client):
    client.declare()
    received = client.consume(prefetch=1, consumer_tag="tag")
    client.publish_all(NUMBERS[:2])
    client.until(lambda: received)

    client.channel.basic_cancel("tag")
    client.channel.basic_ack(received[0].delivery_tag)
    client.publish(body=b"2")
    client.flush("q")

    assert bodies(received) == [b"0"]
    assert client.take_all() == [b"1", b"2"]


def test_consumer_is_told_when_its_queue_is_deleted(client, new_client):
    client.declare()
    told = []
    client.consume(consumer_tag="tag", on_cancel=told.append)

    new_client().channel.queue_delete("q")
    client.until(lambda: told)

    assert told == ["tag"]


def test_consumer_that_cannot_be_told_makes_the_reader_raise(client, new_client):
    client.declare()
    client.consume()

    new_client().channel.queue_delete("q")

    with pytest.raises(ConsumerCancelled):
        client.until(lambda: False)


def test_messages_of_a_deleted_queue_can_still_be_acked(client):
    client.declare()
    client.publish()
    taken = client.take(no_ack=False)
    client.channel.queue_delete("q")

    client.channel.basic_ack(taken.delivery_tag)
    client.declare()

    assert client.count() == 0


def test_requeue_into_a_deleted_queue_is_not_found_in_its_successor(client):
    client.declare()
    client.publish()
    taken = client.take(no_ack=False)
    client.channel.queue_delete("q")
    client.declare()

    client.channel.basic_reject(taken.delivery_tag, requeue=True)
    client.flush("q")

    assert client.count() == 0


def test_get_takes_the_first_message_and_says_how_many_are_left(client):
    client.declare()
    empty = client.take()
    client.publish_all(NUMBERS[:3])

    message = client.take(no_ack=False)

    assert empty is None
    assert message.body == b"0"
    assert message.delivery_info["message_count"] == 2
    assert message.delivery_info["redelivered"] is False


def test_message_taken_without_ack_is_gone(client):
    client.declare()
    client.publish_all(NUMBERS[:2])
    channel = client.connection.channel()

    channel.basic_get("q", no_ack=True)
    channel.close()

    assert client.take_all() == [b"1"]


def test_exclusive_consumer_wants_to_be_alone(client):
    client.declare()
    client.consume(exclusive=True)

    second = client.error_of(lambda channel: channel.basic_consume("q"))

    assert isinstance(second, AccessRefused)
    assert client.text(second) == "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use"


def test_exclusive_consumer_is_refused_beside_another(client):
    client.declare()
    client.consume()

    second = client.error_of(lambda channel: channel.basic_consume("q", exclusive=True))

    assert isinstance(second, AccessRefused)


def test_consumer_without_a_tag_gets_one(client):
    client.declare()

    tag = client.channel.basic_consume("q")

    assert tag.startswith("amq.ctag-")


def test_higher_priority_goes_first(client):
    client.declare(max_priority=5)
    for body, priority in ((b"none", None), (b"5", 5), (b"9", 9), (b"1", 1), (b"5 too", 5)):
        client.publish(body=body, **({} if priority is None else {"priority": priority}))

    assert client.take_all() == [b"5", b"9", b"5 too", b"1", b"none"]


def test_message_keeps_its_priority_when_it_comes_again(client):
    client.declare(max_priority=5)
    received = client.consume(prefetch=1, consumer_tag="tag")
    client.publish(body=b"high", priority=5)
    client.until(lambda: received)
    client.publish(body=b"middle", priority=3)

    client.channel.basic_cancel("tag")
    client.channel.basic_reject(received[0].delivery_tag, requeue=True)
    client.flush("q")

    assert client.take_all() == [b"high", b"middle"]


def test_queue_without_priorities_ignores_them(client):
    client.declare()
    client.publish(body=b"low", priority=1)
    client.publish(body=b"high", priority=9)

    assert client.take_all() == [b"low", b"high"]
