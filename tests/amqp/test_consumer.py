"""Consuming: everything arrives, and goes on arriving, whatever happens to queue and channel."""

import logging
from contextlib import closing, suppress
from itertools import pairwise
from time import monotonic

import kombu
import pytest
from amqp import Message, spec

from rpcnode.amqp import attachment
from rpcnode.amqp import consumer as consumer_module
from rpcnode.amqp.connection import Link
from rpcnode.amqp.consumer import Consumer, queue_exists
from rpcnode.amqp.publisher import Publisher
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable, ConnectionLost
from rpcnode.observers import Observers
from tests.amqp.broker import count, cut, declared, linked, outgoing, wait_until


class Inbox(list):
    """A handler that keeps what it gets."""

    @property
    def bodies(self):
        return [delivery.body for delivery in self]

    def get(self, delivery):
        self.append(delivery)

    def ack(self, delivery):
        self.append(delivery)
        delivery.ack()


def consumer_of(link, handler, queue="q", observers=None, **options):
    named = queue if callable(queue) else lambda: kombu.Queue(queue, durable=True)
    return Consumer(link, named, handler, observers or Observers(), **options)


def publish(link, *bodies, queue="q", **options):
    publisher = Publisher(link, Observers())
    for body in bodies:
        publisher.publish(outgoing(queue, body, **options), 5)
    publisher.close()


def consumers_of(link, queue="q"):
    channel = link.channel(5)
    amount = channel.queue_declare(queue, passive=True).consumer_count
    channel.close()
    return amount


def delete(link, queue="q"):
    channel = link.channel(5)
    channel.queue_delete(queue)
    channel.close()


def test_consumer_declares_its_queue_and_hands_over_what_comes(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.ack)
    consumer.start()

    publish(any_link, b"1", b"2", headers={"h": 1}, content_type="text/plain")
    wait_until(lambda: len(inbox) == 2)

    assert consumer.is_attached
    assert inbox.bodies == [b"1", b"2"]
    assert (inbox[0].headers, inbox[0].properties["content_type"]) == ({"h": 1}, "text/plain")
    assert (inbox[0].queue, inbox[0].routing_key, inbox[0].redelivered) == ("q", "q", False)
    consumer.close()
    wait_until(lambda: count(any_link, "q") == 0)


def test_prefetch_limits_what_is_unacknowledged(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.get, prefetch=2)
    consumer.start()
    publish(any_link, *[b"%d" % number for number in range(5)])
    wait_until(lambda: len(inbox) == 2 and count(any_link, "q") == 3)
    at_first = inbox.bodies

    inbox[0].ack()
    wait_until(lambda: len(inbox) == 3)

    assert at_first == [b"0", b"1"]
    assert count(any_link, "q") == 2
    consumer.close()


def test_requeued_delivery_comes_again(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.get)
    consumer.start()
    publish(any_link, b"again")
    wait_until(lambda: inbox)

    inbox[0].requeue()
    wait_until(lambda: len(inbox) == 2)

    assert [each.redelivered for each in inbox] == [False, True]
    consumer.close()


def test_observers_see_what_is_received_and_acked(any_link):
    class Observer:
        def __init__(self):
            self.message_received = lambda delivery: seen.append(("received", delivery.body))
            self.message_acked = lambda delivery: seen.append(("acked", delivery.body))

    seen, observers = [], Observers()
    observers.add(Observer())
    consumer = consumer_of(any_link, Inbox().ack, observers=observers)
    consumer.start()

    publish(any_link, b"1")
    wait_until(lambda: len(seen) == 2)

    assert seen == [("received", b"1"), ("acked", b"1")]
    consumer.close()


def test_acks_may_go_together(any_link, monkeypatch):
    publish_all = [b"%d" % number for number in range(50)]
    declared(any_link, "q")
    publish(any_link, *publish_all)
    inbox, acked, observers, acks = Inbox(), [], Observers(), []
    observers.add(
        type("Watch", (), {"message_acked": lambda _self, each: acked.append(each.body)})()
    )
    consumer = consumer_of(any_link, inbox.ack, observers=observers, acks_together=True)
    channel_cls = type(any_link.channel())
    basic_ack = channel_cls.basic_ack
    monkeypatch.setattr(
        channel_cls, "basic_ack", lambda *args: (acks.append(args[1:]), basic_ack(*args))
    )
    consumer.start()
    wait_until(lambda: len(acked) == 50)
    consumer.close()

    assert inbox.bodies == acked == publish_all
    assert len(acks) < 50
    assert all(is_multiple for _tag, is_multiple in acks)
    assert count(any_link, "q") == 0


def test_large_delivery_is_not_kept_until_others_are_acked_with_it(any_link, monkeypatch):
    monkeypatch.setattr(attachment, "ACK_DELAY", 3600)
    declared(any_link, "q")
    acked, observers = [], Observers()
    observers.add(
        type("Watch", (), {"message_acked": lambda _self, each: acked.append(len(each.body))})()
    )
    consumer = consumer_of(any_link, Inbox().ack, observers=observers, acks_together=True)
    consumer.start()

    publish(any_link, b"small", b"x" * 100_000)
    wait_until(lambda: len(acked) == 2)

    assert acked == [5, 100_000]
    consumer.close()


def test_delivery_that_is_requeued_among_acks_that_go_together_comes_again(any_link):
    declared(any_link, "q")
    publish(any_link, b"1", b"2", b"3")
    seen = []

    def handle(delivery):
        seen.append((delivery.body, delivery.redelivered))
        if delivery.body == b"2" and not delivery.redelivered:
            delivery.requeue()
        else:
            delivery.ack()

    consumer = consumer_of(any_link, handler=handle, acks_together=True)
    consumer.start()
    wait_until(lambda: (b"2", True) in seen)
    consumer.close()

    assert count(any_link, "q") == 0


def test_handler_that_fails_is_logged_and_others_go_on(any_link, caplog):
    inbox = Inbox()
    failing = consumer_of(any_link, lambda _delivery: 1 / 0, queue="failing")
    working = consumer_of(any_link, inbox.ack)
    failing.start()
    working.start()

    publish(any_link, b"1", queue="failing")
    publish(any_link, b"2")
    wait_until(lambda: inbox)

    assert "the handler of queue 'failing' failed" in caplog.text
    assert any_link.generation == 1
    failing.close()
    working.close()
    wait_until(lambda: count(any_link, "failing") == 1)


def test_queue_with_other_arguments_is_refused_with_the_ways_out(any_link):
    declared(any_link, "q", queue_arguments={"x-max-length": 5})
    consumer = consumer_of(any_link, Inbox().get)

    with pytest.raises(BrokerRefused) as caught:
        consumer.start()

    assert "the queue 'q'" in str(caught.value)
    assert "x-max-length" in str(caught.value)
    assert "give ours another name" in str(caught.value)
    assert not consumer.is_attached
    consumer.close()


def test_queue_that_is_anothers_is_refused_by_its_name(vhost_uri, link):
    with linked(vhost_uri) as another:
        another.channel().queue_declare("q", exclusive=True)
        consumer = consumer_of(link, Inbox().get)

        with pytest.raises(BrokerRefused, match=r"the queue 'q'.*RESOURCE_LOCKED"):
            consumer.start()
        consumer.close()


def test_refused_consumer_leaves_no_channel_behind(link):
    declared(link, "q", queue_arguments={"x-max-length": 5})
    consumer = consumer_of(link, Inbox().get)

    with pytest.raises(BrokerRefused):
        consumer.start()

    wait_until(lambda: list(link._driver.channels) == [0])
    assert link.on_connected == []
    assert link.on_lost == []
    consumer.close()


def test_owner_hears_of_the_attachment(any_link):
    heard = []
    consumer = consumer_of(any_link, Inbox().get, on_attached=lambda: heard.append("attached"))
    waiting = spawn(consumer.wait_attached, 5)
    impatient = spawn(consumer.wait_attached, 0)
    sleep(0)

    consumer.start()

    assert waiting.wait()
    assert not impatient.wait()
    assert heard == ["attached"]
    assert consumer.wait_attached(0)
    consumer.close()


def test_loss_of_the_connection_is_followed_by_the_next_attachment(link):
    heard, inbox = [], Inbox()
    consumer = consumer_of(
        link,
        inbox.get,
        on_attached=lambda: heard.append("attached"),
        on_queue_lost=lambda: heard.append("queue lost"),
    )
    consumer.start()
    publish(link, b"1")
    wait_until(lambda: inbox)

    cut(link)
    was_attached = consumer.is_attached
    assert consumer.wait_attached(5)
    wait_until(lambda: len(inbox) == 2)

    assert not was_attached
    assert heard == ["attached", "attached"]
    assert [each.redelivered for each in inbox] == [False, True]
    consumer.close()


def test_owner_of_a_lost_queue_may_take_another(any_link):
    names, inbox = ["q"], Inbox()
    consumer = consumer_of(
        any_link,
        inbox.ack,
        queue=lambda: kombu.Queue(names[-1], durable=True),
        on_queue_lost=lambda: names.append("another"),
    )
    consumer.start()

    delete(any_link)
    wait_until(lambda: consumer.queue_name == "another" and consumer.is_attached)
    publish(any_link, b"1", queue="another")
    wait_until(lambda: inbox)

    assert names == ["q", "another"]
    assert not queue_exists(any_link, "q")
    consumer.close()


def test_what_must_be_there_before_a_queue_is_declared_each_time(any_link):
    heard, inbox = [], Inbox()

    def prepare(queue):
        heard.append((queue.name, queue_exists(any_link, queue.name)))

    consumer = consumer_of(any_link, inbox.ack, prepare=prepare)
    consumer.start()
    delete(any_link)
    wait_until(lambda: len(heard) == 2 and consumer.is_attached)

    assert heard == [("q", False), ("q", False)]
    consumer.close()


def test_ack_of_an_older_channel_is_dropped(link):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.get)
    consumer.start()
    publish(link, b"1")
    wait_until(lambda: inbox)
    cut(link)
    wait_until(lambda: len(inbox) == 2)
    old, new = inbox

    old.ack()
    publish(link, b"2")
    wait_until(lambda: len(inbox) == 3)
    consumer.close()

    assert (old.tag, new.tag) == (1, 1)
    wait_until(lambda: count(link, "q") == 2)


def test_ack_while_the_connection_is_down_is_dropped(proxy):
    with linked(proxy.uri) as link:
        inbox = Inbox()
        consumer = consumer_of(link, inbox.get)
        consumer.start()
        publish(link, b"1")
        wait_until(lambda: inbox)
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not link.is_connected)

        inbox[0].ack()
        proxy.admit()
        wait_until(lambda: len(inbox) == 2)

        assert inbox[1].redelivered
        consumer.close()


@pytest.mark.parametrize("is_unacked", [True, False])
def test_deleted_queue_is_declared_and_consumed_again(any_link, caplog, is_unacked):
    heard, inbox = [], Inbox()
    consumer = consumer_of(
        any_link,
        inbox.get if is_unacked else inbox.ack,
        on_attached=lambda: heard.append("attached"),
        on_queue_lost=lambda: heard.append("queue lost"),
    )
    consumer.start()
    publish(any_link, b"before")
    wait_until(lambda: inbox)

    delete(any_link)
    wait_until(lambda: len(heard) == 3)
    publish(any_link, b"after")
    wait_until(lambda: len(inbox) == 2)

    assert heard == ["attached", "queue lost", "attached"]
    assert "cancelled the consumer of queue 'q'" in caplog.text
    consumer.close()


def test_delivery_of_a_cancelled_consumer_keeps_its_channel_until_it_is_settled(link):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.get)
    consumer.start()
    publish(link, b"1", b"2")
    wait_until(lambda: len(inbox) == 2)
    delete(link)
    assert consumer.wait_attached(5)
    during = len(link._driver.channels)

    for delivery in inbox:
        delivery.ack()
    wait_until(lambda: len(link._driver.channels) == during - 1)

    publish(link, b"3")
    wait_until(lambda: len(inbox) == 3)
    assert link.generation == 1
    consumer.close()
    assert list(link._driver.channels) == [0]


def test_queue_that_vanishes_while_the_connection_is_down_is_reported(proxy, link):
    with linked(proxy.uri) as ours:
        heard = []
        consumer = consumer_of(
            ours,
            Inbox().get,
            on_attached=lambda: heard.append("attached"),
            on_queue_lost=lambda: heard.append("queue lost"),
        )
        consumer.start()
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not ours.is_connected)

        delete(link)
        proxy.admit()
        wait_until(lambda: len(heard) == 3)

        assert heard == ["attached", "queue lost", "attached"]
        consumer.close()


def test_exclusive_queue_is_lost_with_its_connection(any_link):
    heard, names = [], iter(["first", "second"])
    consumer = consumer_of(
        any_link,
        Inbox().get,
        queue=lambda: kombu.Queue(next(names), exclusive=True, durable=False),
        on_queue_lost=lambda: heard.append((consumer.queue_name, consumer.is_attached)),
    )
    consumer.start()

    (any_link._driver.abort if any_link.settings.is_amqp else any_link._driver.close)()
    wait_until(lambda: consumer.queue_name == "second")

    assert consumer.wait_attached(5)
    assert heard == [("first", False)]
    consumer.close()


def test_hook_that_fails_does_not_end_consuming(link, caplog):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.ack, on_queue_lost=lambda: 1 / 0)
    consumer.start()
    delete(link)
    wait_until(lambda: "ZeroDivisionError" in caplog.text)
    declared(link, "q")

    assert consumer.wait_attached(10)
    publish(link, b"1")
    wait_until(lambda: inbox)
    consumer.close()


def test_channel_that_the_broker_closes_is_replaced(link, caplog):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.get)
    consumer.start()
    publish(link, b"1")
    wait_until(lambda: inbox)

    inbox[0].channel.basic_ack(99)
    wait_until(lambda: len(inbox) == 2)

    assert "closed the channel of queue 'q'" in caplog.text
    assert "unknown delivery tag 99" in caplog.text
    assert link.generation == 1
    consumer.close()


def test_refusal_of_a_later_attachment_is_logged_and_overcome(link, caplog):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.ack)
    consumer.start()
    channel = link.channel()
    channel.send_method(spec.Queue.Delete, "Bsbbb", (0, "q", False, False, False))
    channel.send_method(
        spec.Queue.Declare,
        "BsbbbbbF",
        (0, "q", False, True, False, False, True, {"x-expires": 9999}),
    )
    wait_until(lambda: "refuses the queue 'q'" in caplog.text)

    delete(link)

    assert consumer.wait_attached(10)
    consumer.close()


def test_cancelled_consumer_gets_nothing_more_and_may_still_ack(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.get)
    consumer.start()
    publish(any_link, b"1")
    wait_until(lambda: inbox)

    consumer.cancel()
    publish(any_link, b"2")
    inbox[0].ack()
    consumer.close()

    assert not consumer.is_attached
    assert inbox.bodies == [b"1"]
    assert count(any_link, "q") == 1


def test_cancelled_consumer_can_give_back_what_was_not_started(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.get)
    consumer.start()
    publish(any_link, b"1", b"2", b"3")
    wait_until(lambda: len(inbox) == 3)

    consumer.cancel()
    for delivery in inbox[1:]:
        delivery.requeue()
    wait_until(lambda: count(any_link, "q") == 2)
    inbox[0].ack()
    consumer.close()

    assert count(any_link, "q") == 2


def test_cancelled_consumer_does_not_come_back(link):
    consumer = consumer_of(link, Inbox().get)
    consumer.start()
    consumer.cancel()
    waiting = spawn(consumer.wait_attached, None)

    cut(link)
    link.wait_connected(5)

    assert not waiting.wait()
    assert consumers_of(link) == 0
    consumer.close()
    assert link.on_connected == []
    assert link.on_lost == []


def test_closed_consumer_gives_back_what_is_unacknowledged(any_link):
    inbox = Inbox()
    consumer = consumer_of(any_link, inbox.get)
    consumer.start()
    publish(any_link, b"1", b"2")
    wait_until(lambda: len(inbox) == 2)

    consumer.close()
    inbox[0].ack()

    wait_until(lambda: count(any_link, "q") == 2)


def test_consumer_closes_at_once_without_a_connection(proxy):
    with linked(proxy.uri) as link:
        consumer = consumer_of(link, Inbox().get)
        consumer.start()
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not link.is_connected)
        began = monotonic()

        consumer.cancel()
        consumer.delete_queue()
        consumer.close()

        assert monotonic() - began < 0.5
        proxy.admit()


def test_close_during_the_loss_of_the_connection_does_not_hang(proxy):
    with linked(proxy.uri) as link:
        consumer = consumer_of(link, Inbox().get)
        consumer.start()
        proxy.stall()
        closing = spawn(consumer.close)
        sleep(0.01)

        proxy.cut()
        proxy.resume()
        closing.wait()

        assert not consumer.is_attached


def test_consumer_that_is_closed_while_it_attaches_does_not_stay(proxy, link, monkeypatch):
    monkeypatch.setattr(consumer_module, "ANSWER_TIMEOUT", 0.05)
    with linked(proxy.uri) as ours:
        consumer = consumer_of(ours, Inbox().get)
        proxy.stall()
        starting = spawn(consumer.start)
        wait_until(lambda: len(ours._driver.channels) == 2)

        consumer.close()
        proxy.resume()
        starting.wait()

        wait_until(lambda: list(ours._driver.channels) == [0])
        assert not consumer.is_attached
        assert consumers_of(link) == 0


def test_deleted_queue_of_a_closing_consumer_is_gone(any_link):
    consumer = consumer_of(any_link, Inbox().get)
    consumer.start()

    consumer.cancel()
    consumer.delete_queue()
    consumer.close()

    declared(any_link, "q", queue_arguments={"x-max-length": 5})  # possible: there is none
    assert count(any_link, "q") == 0


def test_consumer_that_starts_without_a_connection_attaches_once_to_the_next(proxy, link):
    proxy.refuse()
    with closing(Link(BrokerSettings(proxy.uri), "tests'")) as ours:
        ours.start()
        consumer = consumer_of(ours, Inbox().get)

        consumer.start()
        was_attached = consumer.is_attached
        proxy.admit()
        assert consumer.wait_attached(10)

        assert not was_attached
        assert consumers_of(link) == 1
        consumer.close()


def test_consumer_that_starts_as_the_connection_comes_attaches_once(vhost_uri, link):
    for _ in range(5):
        with linked(vhost_uri) as ours:
            inbox = Inbox()
            consumer = consumer_of(ours, inbox.get)
            ours.on_connected.append(consumer._attach_again)
            for callback in list(ours.on_connected):
                callback()
            consumer.start()
            assert consumer.wait_attached(5)
            sleep(0.02)

            assert consumers_of(link) == 1
            consumer.close()


class _Strange(Message):
    """A message with properties that no client understands."""

    def _serialize_properties(self):
        table = b"\x04fromT" + (2**60).to_bytes(8, "big")
        return b"\x20\0" + len(table).to_bytes(4, "big") + table


def test_message_with_unreadable_properties_is_a_problem_of_its_own(link):
    inbox = Inbox()
    consumer = consumer_of(link, inbox.ack)
    consumer.start()
    channel = link.channel()

    channel.send_method(
        spec.Basic.Publish, "Bssbb", (0, "", "q", False, False), _Strange("strange")
    )
    publish(link, b"next")
    wait_until(lambda: len(inbox) == 2)

    assert inbox.bodies == [b"strange", b"next"]
    assert isinstance(inbox[0].problem, Exception)
    assert inbox[1].problem is None
    assert link.generation == 1
    consumer.close()


def test_thousands_of_messages_leave_others_their_turn(any_link):
    amount, seen, inbox, outcomes = 5000, [0], Inbox(), []
    declared(any_link, "q")
    publisher = Publisher(any_link, Observers())
    for _ in range(amount):
        publisher.post(outgoing("q", b"x" * 70), outcomes.append, 5)
    wait_until(lambda: len(outcomes) == amount)

    def look_on():
        while len(inbox) < amount:
            sleep(0)
            seen.append(len(inbox))

    looking = spawn(look_on)
    consumer = consumer_of(any_link, inbox.ack, prefetch=0)
    consumer.start()
    looking.wait()

    # Some hundred messages take a few milliseconds.
    assert max(later - former for former, later in pairwise(seen)) < 1000
    consumer.close()
    wait_until(lambda: count(any_link, "q") == 0)


def test_restart_of_the_broker_loses_no_message(rabbit_server, vhost_uri):
    with linked(vhost_uri) as publishing, linked(vhost_uri) as consuming:
        received, confirmed, stop = set(), [], Event()
        consumer = consumer_of(
            consuming, lambda delivery: (received.add(delivery.id), delivery.ack()), prefetch=20
        )
        consumer.start()
        publisher = Publisher(publishing, Observers())

        def publish_on():
            while not stop.is_set():
                message = outgoing("q", delivery_mode=2)
                with suppress(ConnectionLost, BrokerUnavailable):
                    publisher.publish(message, 10)
                    confirmed.append(message.id)
                sleep(0.005)

        threads = [spawn(publish_on) for _ in range(5)]
        try:
            wait_until(lambda: len(received) > 50)
            rabbit_server.restart()
            before = len(received)
            wait_until(lambda: len(received) > before + 50, seconds=20)
        finally:
            stop.set()
        for thread in threads:
            thread.wait()

        wait_until(lambda: received.issuperset(confirmed))
        assert consuming.generation > 1
        consumer.close()


def test_consumer_over_another_transport_receives_and_acks(tmp_path):
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    with linked("filesystem://", transport_options={**folders, "polling_interval": 0.01}) as link:
        inbox = Inbox()
        consumer = consumer_of(link, inbox.ack, prefetch=10)
        consumer.start()

        publish(link, b"1", b"\xff", headers={"h": 1}, content_type="text/plain", reply_to="me")
        wait_until(lambda: len(inbox) == 2)

        assert sorted(inbox.bodies) == [b"1", b"\xff"]
        assert (inbox[0].headers, inbox[0].properties["reply_to"]) == ({"h": 1}, "me")
        assert inbox[0].properties["content_type"] == "text/plain"
        assert inbox[0].id.startswith("id-")
        consumer.close()


def test_consumer_over_another_transport_attaches_again_after_a_loss(tmp_path, monkeypatch):
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    with linked("filesystem://", transport_options={**folders, "polling_interval": 0.01}) as link:
        inbox, attached = Inbox(), []
        consumer = consumer_of(link, inbox.ack, on_attached=lambda: attached.append(1))
        consumer.start()

        def break_down(*_args, **_options):
            raise ConnectionResetError("the disk is gone")

        monkeypatch.setattr(link._transport, "drain_events", break_down)
        wait_until(lambda: len(attached) == 2)
        publish(link, b"1")
        wait_until(lambda: inbox)

        assert link.generation == 2
        consumer.close()


def test_messages_are_not_logged_above_debug(link, caplog):
    consumer = consumer_of(link, Inbox().ack)
    with caplog.at_level(logging.INFO):
        consumer.start()
        publish(link, b"1")
        consumer.close()

    assert caplog.text == ""
