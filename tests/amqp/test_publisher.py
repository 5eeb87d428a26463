"""Publishing: one outcome for each message, whatever happens to channel and connection."""

from functools import partial
from time import monotonic

import pytest

from rpcnode.amqp import confirming
from rpcnode.amqp.channel import Channel
from rpcnode.amqp.outbox import Outbox
from rpcnode.amqp.publisher import Publisher
from rpcnode.concurrency import Event, Timeout, kill, sleep, spawn
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    UndeliverableMessage,
    UnserializableHeader,
)
from rpcnode.observers import Observers
from tests.amqp.broker import count, declared, linked, outgoing, wait_until


@pytest.fixture
def publisher(link):
    return Publisher(link, Observers())


class Outcomes(dict):
    """What became of messages, by their ids; each may be settled once."""

    def of(self, message):
        def settle(error):
            assert message.id not in self
            self[message.id] = error

        return settle


def test_published_message_arrives_as_it_was(any_link):
    declared(any_link, "q")
    message = outgoing(
        "q", b"body", headers={"number": 1, "text": "é", "nothing": None}, content_type="text/plain"
    )

    Publisher(any_link, Observers()).publish(message, 5)

    channel = any_link.channel()
    received = channel.basic_get("q", no_ack=True)
    assert received.body == b"body"
    headers = received.properties["application_headers"]
    assert headers == {"number": 1, "text": "é", "nothing": None}
    assert received.properties["content_type"] == "text/plain"
    assert received.properties["message_id"] == message.id


def test_message_without_a_queue_comes_back_at_once(any_link):
    publisher = Publisher(any_link, Observers())

    with pytest.raises(UndeliverableMessage, match="exchange '', routing key 'nowhere'"):
        publisher.publish(outgoing("nowhere"), 5)
    publisher.publish(outgoing("nowhere", mandatory=False), 5)

    assert publisher.unconfirmed == 0


def test_message_for_a_full_queue_is_rejected(any_link):
    declared(any_link, "q", queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publisher = Publisher(any_link, Observers())
    publisher.publish(outgoing("q"), 5)

    with pytest.raises(PublishRejected):
        publisher.publish(outgoing("q"), 5)

    assert count(any_link, "q") == 1


def test_missing_exchange_is_named_and_the_publisher_goes_on(any_link):
    declared(any_link, "q")
    publisher = Publisher(any_link, Observers())

    with pytest.raises(PublishRejected, match=r"exchange 'nowhere'.*404.*NOT_FOUND"):
        publisher.publish(outgoing("k", exchange="nowhere"), 5)
    publisher.publish(outgoing("q"), 5)

    assert count(any_link, "q") == 1


@pytest.mark.parametrize("headers", [{"odd": object()}, {"odd": [{1, 2}]}])
def test_header_that_cannot_be_sent_is_named_and_the_channel_goes_on(any_link, headers):
    declared(any_link, "q")
    publisher = Publisher(any_link, Observers())
    publisher.publish(outgoing("q"), 5)

    with pytest.raises(UnserializableHeader, match="the header 'odd'"):
        publisher.publish(outgoing("q", headers={"fine": 1, **headers}), 5)
    publisher.publish(outgoing("q"), 5)

    assert count(any_link, "q") == 2
    assert publisher.unconfirmed == 0


def test_observers_see_what_was_published(any_link):
    class Observer:
        def __init__(self):
            self.message_published = seen.append

    seen, observers = [], Observers()
    declared(any_link, "q")
    observers.add(Observer())
    message = outgoing("q")

    Publisher(any_link, observers).publish(message, 5)

    assert seen == [message]


def test_headers_larger_than_a_frame_are_refused_and_the_channel_goes_on(link, publisher):
    declared(link, "q")
    publisher.publish(outgoing("q"), 5)

    with pytest.raises(UnserializableHeader, match="of a frame"):
        publisher.publish(outgoing("q", headers={"large": "x" * 140_000}), 5)
    publisher.publish(outgoing("q"), 5)

    assert count(link, "q") == 2


def test_body_of_many_frames_arrives(link, publisher):
    declared(link, "q")
    body = bytes(range(256)) * 4000

    publisher.publish(outgoing("q", body), 5)

    assert link.channel().basic_get("q", no_ack=True).body == body


def test_messages_of_many_green_threads_are_confirmed_each(link, publisher):
    declared(link, "q")

    def publish():
        for _ in range(20):
            publisher.publish(outgoing("q", b"x" * 300), 10)

    threads = [spawn(publish) for _ in range(50)]
    for thread in threads:
        thread.wait()

    assert publisher.unconfirmed == 0
    assert count(link, "q") == 1000


def test_outcomes_of_good_and_bad_messages_are_not_mixed_up(link, publisher):
    declared(link, "q")
    outcomes, messages = Outcomes(), [outgoing("q"), outgoing("nowhere")] * 100
    messages = [outgoing(each.routing_key) for each in messages]

    for message in messages:
        publisher.post(message, outcomes.of(message), 5)
    wait_until(lambda: len(outcomes) == 200)

    for message in messages:
        is_returned = isinstance(outcomes[message.id], UndeliverableMessage)
        assert is_returned == (message.routing_key == "nowhere")


def test_missing_exchange_is_told_to_its_own_messages_only(link, publisher):
    declared(link, "q")
    publisher.open(5)
    outcomes, good, bad = Outcomes(), outgoing("q"), outgoing("k", exchange="nowhere")
    later = outgoing("q")

    for message in (good, bad, later):
        publisher.post(message, outcomes.of(message), 5)
    wait_until(lambda: len(outcomes) == 3)

    assert isinstance(outcomes[bad.id], PublishRejected)
    assert outcomes[good.id] is None or isinstance(outcomes[good.id], ConnectionLost)
    assert isinstance(outcomes[later.id], ConnectionLost)
    assert "exchange 'nowhere'" in str(outcomes[bad.id])


def test_channel_that_is_closed_for_another_reason_leaves_the_outcome_unknown(link, publisher):
    declared(link, "q")
    publisher.open(5)
    outcomes, message = Outcomes(), outgoing("q")
    channel = link._driver.channels[max(link._driver.channels)]

    channel.basic_ack(2**40)  # of nothing: the broker closes the channel before it sees the rest
    publisher.post(message, outcomes.of(message), 5)
    wait_until(lambda: outcomes)

    assert isinstance(outcomes[message.id], ConnectionLost)
    assert "unknown delivery tag" in str(outcomes[message.id])


def test_publishers_share_no_fate(link, publisher):
    declared(link, "q")
    another = Publisher(link, Observers())
    outcomes, message = Outcomes(), outgoing("q")
    another.open(5)
    another.post(message, outcomes.of(message), 5)

    with pytest.raises(PublishRejected):
        publisher.publish(outgoing("k", exchange="nowhere"), 5)
    wait_until(lambda: outcomes)

    assert outcomes == {message.id: None}


def test_loss_of_the_connection_leaves_the_outcome_unknown(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.publish(outgoing("q"), 5)
        proxy.stall()
        publishing = spawn(publisher.publish, outgoing("q"), 20)
        wait_until(lambda: publisher.unconfirmed)

        proxy.cut()
        proxy.resume()

        with pytest.raises(ConnectionLost):
            publishing.wait()
        publisher.publish(outgoing("q"), 10)


def test_broker_that_does_not_confirm_is_waited_for_no_longer_than_said(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.open(5)
        proxy.stall()
        began = monotonic()

        with pytest.raises(PublishTimeout, match=r"exchange '' within 0\.1 s"):
            publisher.publish(outgoing("q"), 0.1)

        assert monotonic() - began < 1
        proxy.resume()
        wait_until(lambda: publisher.unconfirmed == 0)


def test_channel_that_does_not_open_is_waited_for_no_longer_than_said(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        proxy.stall()
        began = monotonic()

        with pytest.raises(BrokerUnavailable):
            publisher.publish(outgoing("q"), 0.1)

        assert monotonic() - began < 1
        proxy.resume()
        publisher.publish(outgoing("q"), 5)
        wait_until(lambda: len(link._driver.channels) == 2)


def test_publisher_whose_broker_is_away_fails_in_time_and_recovers(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.publish(outgoing("q"), 5)
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not link.is_connected)
        began = monotonic()

        with pytest.raises(BrokerUnavailable, match="no connection to the broker"):
            publisher.publish(outgoing("q"), 0.1)
        failed_after = monotonic() - began
        proxy.admit()
        publisher.publish(outgoing("q"), 10)

        assert failed_after < 1
        assert count(link, "q") == 2


def test_waiting_publishers_all_get_through_once_the_broker_is_back(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.publish(outgoing("q"), 5)
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not link.is_connected)
        threads = [spawn(publisher.publish, outgoing("q"), 20) for _ in range(20)]
        sleep(0)

        proxy.admit()
        for thread in threads:
            thread.wait()

        assert count(link, "q") == 21


def test_kill_while_the_channel_opens_leaves_nothing_behind(proxy):
    with linked(proxy.uri) as link:
        publisher = Publisher(link, Observers())
        proxy.stall()
        opening = spawn(publisher.open, 20)
        wait_until(lambda: len(link._driver.channels) == 2)

        kill(opening)
        proxy.resume()
        publisher.open(5)

        wait_until(lambda: len(link._driver.channels) == 2)


def test_channel_whose_confirms_do_not_come_on_is_closed(link, publisher, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Channel, "confirm_select", lambda _self: sleep(60))

        with pytest.raises(BrokerUnavailable):
            publisher.open(0.05)

    wait_until(lambda: list(link._driver.channels) == [0])


def test_timeout_of_the_caller_is_not_taken_for_our_own(proxy):
    with linked(proxy.uri) as link:
        publisher = Publisher(link, Observers())
        proxy.stall()

        with pytest.raises(Timeout) as caught:
            with Timeout(0.05) as limit:
                publisher.open(20)

        assert caught.value is limit
        proxy.resume()


def test_broker_that_reads_nothing_makes_writers_wait(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.open(5)
        proxy.stall()
        outcomes, written = Outcomes(), []

        def write():
            for _ in range(400):
                message = outgoing("q", b"x" * 100_000)
                publisher.post(message, outcomes.of(message), 30)
                written.append(message)

        writing = spawn(write)
        wait_until(lambda: not has_room(publisher))
        stuck_at = len(written)
        proxy.resume()
        writing.wait()
        wait_until(lambda: len(outcomes) == 400)

        assert stuck_at < 400
        assert set(outcomes.values()) == {None}


def has_room(publisher):
    """Return whether the publisher takes a message within a while."""
    try:
        publisher.post(outgoing("q"), lambda _error: None, 0.1)
    except BrokerUnavailable as exc:
        return "took no message" not in str(exc)
    return True


def test_loss_of_the_connection_wakes_writers_that_wait_for_room(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.open(5)
        proxy.stall()
        publisher.post(outgoing("q", b"x" * 20_000_000), lambda _error: None, 5)
        waiting = spawn(publisher.publish, outgoing("q"), 20)
        sleep(0.01)

        proxy.cut()
        proxy.resume()
        waiting.wait()

        assert count(link, "q") == 1


def test_closed_publisher_settles_what_is_unconfirmed(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.open(5)
        proxy.stall()
        outcomes, message = Outcomes(), outgoing("q")
        publisher.post(message, outcomes.of(message), 5)

        closing = spawn(publisher.close)
        sleep(0.01)
        proxy.cut()
        proxy.resume()
        closing.wait()

        assert isinstance(outcomes[message.id], ConnectionLost)


def test_alarm_of_the_broker_holds_publishers_and_lets_them_go_again(rabbit_server, vhost_uri):
    with linked(vhost_uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.publish(outgoing("q"), 5)
        rabbit_server.ctl("set_vm_memory_high_watermark", "0.00001")
        try:
            # The broker tells it to those who publish, when they do.
            held = []
            publish = partial(publisher.publish, outgoing("q"), 50)
            wait_until(lambda: link.is_blocked or held.append(spawn(publish)))
            was_held = not held[-1].dead
        finally:
            rabbit_server.ctl("set_vm_memory_high_watermark", "0.4")
        for thread in held:
            thread.wait()

        assert was_held
        wait_until(lambda: not link.is_blocked)
        assert link.generation == 1


@pytest.fixture
def outbox(any_link):
    return Outbox(Publisher(any_link, Observers()), any_link)


def test_outbox_tells_when_a_message_is_confirmed(any_link, outbox):
    declared(any_link, "q")
    outcomes, messages = Outcomes(), [outgoing("q") for _ in range(250)]

    for message in messages:
        outbox.post(message, outcomes.of(message))

    assert outbox.wait_idle(5)
    assert outcomes == {message.id: None for message in messages}
    assert count(any_link, "q") == 250


def test_outbox_that_has_nothing_to_do_is_idle(outbox):
    assert outbox.wait_idle(0)


def test_everyone_who_waits_for_an_idle_outbox_is_told(any_link, outbox):
    declared(any_link, "q")
    outbox.post(outgoing("q"), lambda _error: None)

    waiters = [spawn(outbox.wait_idle, 5) for _ in range(3)]

    assert [waiter.wait() for waiter in waiters] == [True, True, True]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (outgoing("nowhere"), UndeliverableMessage),
        (outgoing("k", exchange="nowhere"), PublishRejected),
        (outgoing("q", headers={"odd": object()}), UnserializableHeader),
    ],
    ids=["no queue", "no exchange", "header"],
)
def test_outbox_gives_up_what_can_never_be_delivered(any_link, outbox, message, error):
    outcomes = Outcomes()

    outbox.post(message, outcomes.of(message))

    assert outbox.wait_idle(5)
    assert isinstance(outcomes[message.id], error)


def test_channel_on_which_the_broker_refused_a_message_gives_way_to_another(
    link, publisher, monkeypatch
):
    # given a channel that was used for long enough
    monkeypatch.setattr(confirming, "LONG_ENOUGH", 0)
    declared(link, "full", queue_arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    declared(link, "q")
    publisher.open(5)
    channel = publisher._channel

    # when one of many messages is refused
    outcomes, messages = Outcomes(), [outgoing("full"), *(outgoing("q") for _ in range(50))]
    for message in messages:
        publisher.post(message, outcomes.of(message), 5)
    wait_until(lambda: len(outcomes) == len(messages))
    publisher.publish(outgoing("q"), 5)

    # then the others are not, and the channel is gone
    assert isinstance(outcomes.pop(messages[0].id), PublishRejected)
    assert set(outcomes.values()) == {None}
    assert count(link, "q") == 51
    assert publisher._channel is not channel
    wait_until(lambda: channel._channel.connection is None)


def test_full_queue_costs_no_channel_for_each_message(link, publisher):
    declared(link, "full", queue_arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    publisher.open(5)
    channel = publisher._channel

    for _ in range(3):
        with pytest.raises(PublishRejected):
            publisher.publish(outgoing("full"), 5)

    assert publisher._channel is channel


def test_outbox_offers_a_refused_message_again(any_link, outbox):
    declared(any_link, "q", queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    outcomes, first, second = Outcomes(), outgoing("q"), outgoing("q")
    outbox.post(first, outcomes.of(first))
    outbox.post(second, outcomes.of(second))
    wait_until(lambda: outcomes)
    any_link.channel().queue_purge("q")

    assert outbox.wait_idle(5)
    assert outcomes == {first.id: None, second.id: None}


def test_outbox_gives_up_in_time(any_link, outbox):
    declared(any_link, "q", queue_arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    outcomes, message = Outcomes(), outgoing("q")

    outbox.post(message, outcomes.of(message), give_up_at=monotonic() + 0.5)

    assert outbox.wait_idle(5)
    assert isinstance(outcomes[message.id], PublishRejected)


def test_outbox_publishes_what_was_unconfirmed_again_on_the_next_connection(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        outbox = Outbox(Publisher(link, Observers()), link)
        warm_up = Event()
        outbox.post(outgoing("q"), lambda _error: warm_up.set())
        assert warm_up.wait(5)
        proxy.stall()
        outcomes, messages = Outcomes(), [outgoing("q") for _ in range(20)]
        for message in messages:
            outbox.post(message, outcomes.of(message))

        proxy.cut()
        proxy.resume()

        assert outbox.wait_idle(10)
        assert outcomes == {message.id: None for message in messages}
        assert count(link, "q") >= 21


def test_message_that_closes_the_channel_does_not_hold_up_the_others(link):
    declared(link, "q")
    outbox = Outbox(Publisher(link, Observers()), link)
    outcomes = Outcomes()
    # Only the broker can tell that this user is not ours, and it names no exchange then.
    bad, good = outgoing("q", user_id="somebody-else"), [outgoing("q") for _ in range(5)]

    for message in (bad, *good):
        outbox.post(message, outcomes.of(message), give_up_at=monotonic() + 4)
    wait_until(lambda: len(outcomes) == 6)

    assert isinstance(outcomes[bad.id], PublishRejected)
    assert [outcomes[message.id] for message in good] == [None] * 5


def test_messages_whose_exchange_the_broker_names_in_part_do_not_hold_up_the_others(link):
    declared(link, "q")
    outbox = Outbox(Publisher(link, Observers()), link)
    outcomes = Outcomes()
    # The broker's text has 255 bytes: it ends within such a name.
    bad = [outgoing("q", exchange="x" * 240) for _ in range(2)]
    good = [outgoing("q") for _ in range(5)]

    for message in (*bad, *good):
        outbox.post(message, outcomes.of(message), give_up_at=monotonic() + 8)
    wait_until(lambda: len(outcomes) == 7)

    assert [type(outcomes[message.id]) for message in bad] == [PublishRejected] * 2
    assert [outcomes[message.id] for message in good] == [None] * 5


def test_closed_outbox_tries_nothing_again(link):
    declared(link, "q")
    publisher = Publisher(link, Observers())
    outbox = Outbox(publisher, link)
    outcomes, messages = Outcomes(), [outgoing("q") for _ in range(3)]
    outbox.post(messages[0], outcomes.of(messages[0]))  # waits for its channel
    outbox.close()
    outbox.post(messages[1], outcomes.of(messages[1]))

    assert outbox.wait_idle(5)
    assert [type(outcomes[each.id]) for each in messages[:2]] == [BrokerUnavailable] * 2
    assert list(link._driver.channels) == [0]
    assert count(link, "q") == 0


def test_outbox_of_a_closed_link_lets_go(vhost_uri):
    outcomes, message = Outcomes(), outgoing("q")
    with linked(vhost_uri) as link:
        outbox = Outbox(Publisher(link, Observers()), link)
    outbox.post(message, outcomes.of(message))

    assert outbox.wait_idle(5)
    assert isinstance(outcomes[message.id], BrokerUnavailable)


def test_publisher_over_another_transport_publishes(tmp_path):
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    with linked("filesystem://", transport_options={**folders, "polling_interval": 0.01}) as link:
        declared(link, "q")

        Publisher(link, Observers()).publish(outgoing("q", headers={"h": 1}), 5)

        received = link.channel().basic_get("q")
        assert (received.body, received.headers) == (b"body", {"h": 1})
