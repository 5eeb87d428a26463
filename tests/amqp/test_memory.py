"""The embedded broker through kombu: `memory://`."""

import subprocess
import sys
from time import monotonic, process_time

import kombu
import pytest
from amqp.exceptions import (
    AccessRefused,
    ConnectionForced,
    ConsumerCancelled,
    FrameSyntaxError,
    NotFound,
    PreconditionFailed,
    RecoverableConnectionError,
    ResourceLocked,
)

from rpcnode.amqp.memory import REJECTED, ROUTED, UNROUTABLE, drop_connections, reset
from rpcnode.concurrency import Event, getcurrent, kill, sleep, spawn

URI = "memory://tests"
TRANSPORT = "rpcnode.amqp.memory:Transport"


@pytest.fixture
def connect():
    connections = []

    def connect(uri=URI):
        connection = kombu.Connection(uri, transport=TRANSPORT)
        connections.append((uri, connection))
        connection.connect()
        return connection

    yield connect
    for uri, connection in connections:
        connection.close()
        reset(uri)


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()


def declare(channel, name="q", **arguments):
    named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return channel.queue_declare(name, auto_delete=False, arguments=named)


def publish(
    channel, key="q", body=b"body", exchange="", headers=None, mandatory=False, **properties
):
    message = channel.prepare_message(body, headers=headers, properties=properties)
    return channel.basic_publish(message, exchange, key, mandatory=mandatory)


def count(channel, name="q"):
    return channel.queue_declare(name, passive=True).message_count


def drain(connection):
    """Hand over all that is there now."""
    while True:
        try:
            connection.drain_events(timeout=0)
        except TimeoutError:
            return


def wait_until(condition, seconds=5):
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "the condition did not come true"
        sleep(0.002)


def test_kombu_entities_work_as_on_any_transport(connection, channel):
    queue = kombu.Queue("q", kombu.Exchange("x", "topic"), routing_key="a.#", message_ttl=60)
    received = []

    def receive(body, message):
        received.append((body, message.headers, message.properties["correlation_id"]))
        message.ack()

    with kombu.Consumer(channel, [queue], callbacks=[receive], accept=["json"]):
        producer = kombu.Producer(connection, exchange=queue.exchange)
        producer.publish({"n": 1}, routing_key="a.b", headers={"h": 1}, correlation_id="c")
        connection.drain_events(timeout=1)

    assert received == [({"n": 1}, {"h": 1}, "c")]
    assert count(channel) == 0


def test_kombu_queue_without_a_name_gets_one(channel):
    queue = kombu.Queue("", exclusive=True)(channel)

    queue.declare()

    assert queue.name.startswith("amq.gen-")


def test_delivered_message_is_shaped_as_py_amqps(connection, channel):
    declare(channel)
    received = []
    tag = channel.basic_consume("q", callback=received.append)

    publish(channel, body=b"\x00\xff", headers={"h": 1}, message_id="m", delivery_mode=2)
    drain(connection)

    (message,) = received
    assert (message.body, message.headers, message.channel) == (b"\x00\xff", {"h": 1}, channel)
    assert message.properties == {
        "message_id": "m",
        "delivery_mode": 2,
        "application_headers": {"h": 1},
    }
    assert message.delivery_tag == 1
    assert message.delivery_info == {
        "consumer_tag": tag,
        "delivery_tag": 1,
        "redelivered": False,
        "exchange": "",
        "routing_key": "q",
    }


def test_nobody_shares_headers(connection, channel):
    headers = {"list": [{"n": 1}]}
    received = []
    for name in ("one", "two"):
        declare(channel, name)
        channel.queue_bind(name, "amq.fanout")
        channel.basic_consume(name, callback=received.append)

    publish(channel, exchange="amq.fanout", headers=headers)
    headers["list"][0]["n"] = "the publisher's"
    drain(connection)
    received[0].headers["list"][0]["n"] = "the first consumer's"

    assert received[1].headers == {"list": [{"n": 1}]}


def test_header_that_amqp_cannot_carry_is_refused_and_harms_nobody(channel):
    declare(channel)

    with pytest.raises(FrameSyntaxError, match="'odd'"):
        publish(channel, headers={"odd": object()})

    assert (publish(channel), count(channel)) == (ROUTED, 1)


def test_publish_tells_what_became_of_the_message(channel):
    declare(channel, "full", max_length=0, overflow="reject-publish")
    declare(channel)

    outcomes = [publish(channel, key) for key in ("q", "nobody", "full")]

    assert outcomes == [ROUTED, UNROUTABLE, REJECTED]


def test_unroutable_mandatory_message_is_returned_by_the_reader(connection):
    returned = []
    producer = kombu.Producer(connection, on_return=lambda *args: returned.append(args[1:3]))

    producer.publish(b"", exchange="amq.direct", routing_key="nobody", mandatory=True)
    before = list(returned)
    drain(connection)

    assert (before, returned) == ([], [("amq.direct", "nobody")])


def test_unknown_exchange_closes_the_channel(connection, channel):
    lost = []
    channel.on_lost = lost.append

    with pytest.raises(NotFound, match="NOT_FOUND - no exchange 'x' in vhost '/'") as error:
        publish(channel, exchange="x")
    with pytest.raises(RecoverableConnectionError):
        publish(channel)
    drain(connection)

    assert (channel.closed, channel.connection) == (True, None)
    assert lost == [error.value]


@pytest.mark.parametrize(
    ("method", "args"),
    [("queue_declare", ("q", True)), ("exchange_declare", ("q", "direct", True))],
)
def test_passive_declare_of_what_is_missing_closes_the_channel(channel, method, args):
    with pytest.raises(NotFound, match=r"NOT_FOUND - no (queue|exchange) 'q' in vhost '/'"):
        getattr(channel, method)(*args)

    assert channel.closed


def test_queue_that_exists_with_other_arguments_is_refused_in_rabbitmqs_words(connection, channel):
    declare(channel, message_ttl=6)

    with pytest.raises(PreconditionFailed) as error:
        declare(channel, message_ttl=5)
    with pytest.raises(PreconditionFailed, match="current is the value '6' of type 'signedint'"):
        declare(connection.channel())
    with pytest.raises(PreconditionFailed, match=r"arg 'durable' .*'true' but current is 'false'"):
        connection.channel().queue_declare("q", durable=True)

    assert str(error.value) == (
        "Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue "
        "'q' in vhost '/': received '5' but current is '6'"
    )
    assert channel.closed


def test_exchange_that_exists_with_another_type_is_refused(channel):
    channel.exchange_declare("x", "topic", durable=True, auto_delete=False)

    with pytest.raises(PreconditionFailed, match=r"arg 'type' for exchange 'x' .*'direct' but"):
        channel.exchange_declare("x", "direct", durable=True, auto_delete=False)


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("exchange_declare", ("", "direct")),
        ("exchange_delete", ("",)),
        ("queue_bind", ("q", "", "key")),
        ("queue_unbind", ("q", "", "q")),
        ("exchange_declare", ("amq.mine", "direct")),
        ("queue_declare", ("amq.mine",)),
    ],
)
def test_what_belongs_to_the_broker_is_not_given_away(channel, method, args):
    declare(channel)

    with pytest.raises(AccessRefused, match="ACCESS_REFUSED - "):
        getattr(channel, method)(*args)


def test_queue_in_use_or_not_empty_can_be_kept_from_deletion(connection, channel):
    declare(channel)
    publish(channel)
    other = connection.channel()
    with pytest.raises(PreconditionFailed, match="queue 'q' in vhost '/' not empty"):
        other.queue_delete("q", if_empty=True)
    channel.basic_consume("q", callback=print)

    with pytest.raises(PreconditionFailed, match="queue 'q' in vhost '/' in use"):
        connection.channel().queue_delete("q", if_unused=True)

    assert channel.queue_delete("missing") == 0


def test_purge_drops_what_is_ready_only(channel):
    declare(channel)
    for _ in range(3):
        publish(channel)
    taken = channel.basic_get("q")

    assert (channel.queue_purge("q"), count(channel)) == (2, 0)
    channel.basic_reject(taken.delivery_tag, requeue=True)
    assert count(channel) == 1


def test_consumers_of_one_queue_take_turns_on_any_connection(connect):
    one, two = connect(), connect()
    channels = [one.channel(), one.channel(), two.channel()]
    declare(channels[0])
    received = [[], [], [], []]
    for index, channel in enumerate([*channels, channels[0]]):
        channel.basic_consume("q", callback=received[index].append)

    for _ in range(8):
        publish(channels[0])
    drain(one)
    drain(two)

    assert [len(messages) for messages in received] == [2, 2, 2, 2]


def test_prefetch_belongs_to_the_consumers_made_after_it(connection, channel):
    declare(channel)
    declare(channel, "free")
    limited, unlimited = [], []
    channel.basic_consume("free", callback=unlimited.append)
    channel.basic_qos(0, 2, False)
    channel.basic_consume("q", callback=limited.append)
    for _ in range(5):
        publish(channel)
        publish(channel, "free")
    drain(connection)
    first = len(limited)

    channel.basic_ack(limited[0].delivery_tag)
    drain(connection)

    assert (first, len(limited), len(unlimited), count(channel)) == (2, 3, 5, 2)


def test_consumer_without_acks_ignores_prefetch(connection, channel):
    declare(channel)
    received = []
    channel.basic_qos(0, 1, False)
    channel.basic_consume("q", no_ack=True, callback=received.append)

    for _ in range(5):
        publish(channel)
    drain(connection)

    assert len(received) == 5


def test_callbacks_run_in_the_reader_never_in_the_publisher(connection, channel):
    declare(channel)
    greenlets = []
    channel.basic_consume("q", no_ack=True, callback=lambda _: greenlets.append(getcurrent()))
    reader = spawn(connection.drain_events)
    sleep(0)

    publish(channel)
    during_publish = list(greenlets)
    wait_until(lambda: greenlets)

    assert (during_publish, greenlets) == ([], [reader])


def test_one_drain_hands_over_a_bounded_batch(connection, channel):
    declare(channel)
    received = []
    channel.basic_consume("q", no_ack=True, callback=received.append)
    for _ in range(250):
        publish(channel)

    sizes = []
    for _ in range(3):
        connection.drain_events(timeout=1)
        sizes.append(len(received))

    assert sizes == [100, 200, 250]


def test_reader_that_never_runs_dry_lets_others_run(connection, channel):
    declare(channel)
    received = []

    def feed_myself(message):
        received.append(message)
        publish(channel)

    def read():
        while True:
            connection.drain_events()

    channel.basic_consume("q", no_ack=True, callback=feed_myself)
    publish(channel)
    reader = spawn(read)

    wait_until(lambda: len(received) > 100)

    kill(reader)


def test_callback_that_raises_loses_nothing(connection, channel):
    declare(channel)
    seen = []

    def fail(message):
        seen.append(message)
        raise ValueError("no")

    channel.basic_consume("q", callback=fail)
    publish(channel, body=b"1")
    publish(channel, body=b"2")
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            connection.drain_events(timeout=1)

    channel.close()

    other = connection.channel()
    assert [message.body for message in seen] == [b"1", b"2"]
    assert [other.basic_get("q").body for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize(
    "lose",
    [
        lambda connection: connection.close(),
        lambda connection: connection.collect(),
        lambda connection: connection.connection.fail(ConnectionForced("dropped")),
    ],
)
def test_lost_connection_gives_back_what_was_not_acknowledged(connect, lose):
    lost, other = connect(), connect().channel()
    channel = lost.channel()
    declare(channel)
    received = []
    channel.basic_consume("q", callback=received.append)
    for body in (b"1", b"2", b"3"):
        publish(channel, body=body)
    drain(lost)
    channel.basic_ack(received[1].delivery_tag)

    lose(lost)

    returned = [other.basic_get("q"), other.basic_get("q")]
    assert [message.body for message in returned] == [b"1", b"3"]
    assert [message.delivery_info["redelivered"] for message in returned] == [True, True]
    assert other.basic_get("q") is None


def test_cancelled_consumer_gets_nothing_any_more_and_keeps_what_it_has(connection, channel):
    declare(channel)
    received = []

    def receive_and_cancel(message):
        received.append(message)
        channel.basic_cancel("c")

    channel.basic_consume("q", consumer_tag="c", callback=receive_and_cancel)
    for _ in range(3):
        publish(channel)
    drain(connection)
    publish(channel)
    drain(connection)

    assert (len(received), count(channel)) == (1, 3)
    channel.basic_reject(received[0].delivery_tag, requeue=True)
    assert count(channel) == 4


def test_unknown_delivery_tag_closes_the_channel(channel):
    declare(channel)
    publish(channel)
    tag = channel.basic_get("q").delivery_tag
    channel.basic_ack(tag)

    with pytest.raises(PreconditionFailed, match="unknown delivery tag 1"):
        channel.basic_ack(tag)

    assert channel.closed


def test_get_takes_one_message_and_recover_gives_it_back(channel):
    declare(channel)
    empty = channel.basic_get("q")
    publish(channel)
    publish(channel)
    message = channel.basic_get("q")

    channel.basic_recover(requeue=True)

    assert (empty, message.delivery_info["message_count"], count(channel)) == (None, 1, 2)
    assert channel.basic_get("q").delivery_info["redelivered"]


def test_exclusive_queue_is_its_connections_alone_and_goes_with_it(connect):
    owner, other = connect(), connect()
    owner.channel().queue_declare("mine", exclusive=True)
    for attempt in (
        lambda channel: channel.queue_declare("mine", exclusive=True),
        lambda channel: channel.queue_declare("mine", passive=True),
        lambda channel: channel.basic_consume("mine"),
        lambda channel: channel.basic_get("mine"),
        lambda channel: channel.queue_delete("mine"),
    ):
        with pytest.raises(ResourceLocked, match="RESOURCE_LOCKED - cannot obtain exclusive"):
            attempt(other.channel())
    reached = publish(other.channel(), "mine")

    owner.close()

    assert (reached, publish(other.channel(), "mine")) == (ROUTED, UNROUTABLE)


def test_exclusive_consumer_wants_to_be_alone(connection, channel):
    declare(channel)
    channel.basic_consume("q", callback=print)

    with pytest.raises(AccessRefused, match="queue 'q' in vhost '/' in exclusive use"):
        connection.channel().basic_consume("q", exclusive=True)


def test_auto_delete_queue_goes_with_its_last_consumer(channel):
    channel.queue_declare("q", auto_delete=True)
    tags = [channel.basic_consume("q", callback=print) for _ in range(2)]
    channel.basic_cancel(tags[0])
    after_first = publish(channel)

    channel.basic_cancel(tags[1])

    assert (after_first, publish(channel)) == (ROUTED, UNROUTABLE)


def test_reader_tells_whose_queue_was_deleted(connect):
    reader, deleter = connect(), connect().channel()
    channel = reader.channel()
    for name in ("one", "two", "three"):
        declare(channel, name)
    heard = []
    channel.basic_consume("one", consumer_tag="1", on_cancel=lambda tag: heard.append(("own", tag)))
    channel.basic_consume("two", consumer_tag="2")
    channel.on_cancelled = lambda tag: heard.append(("channel", tag))
    for name in ("one", "two"):
        deleter.queue_delete(name)
    before = list(heard)
    drain(reader)
    channel.on_cancelled = None
    channel.basic_consume("three", consumer_tag="3")

    deleter.queue_delete("three")

    assert (before, heard) == ([], [("own", "1"), ("channel", "2")])
    with pytest.raises(ConsumerCancelled):
        drain(reader)


def test_expired_and_rejected_messages_reach_the_dead_letter_queue(channel):
    declare(channel, message_ttl=20, dead_letter_exchange="", dead_letter_routing_key="dead")
    declare(channel, "dead")
    publish(channel, body=b"rejected")
    channel.basic_reject(channel.basic_get("q").delivery_tag, requeue=False)

    publish(channel, body=b"expired")
    wait_until(lambda: count(channel, "dead") == 2)

    dead = [channel.basic_get("dead") for _ in range(2)]
    assert [message.body for message in dead] == [b"rejected", b"expired"]
    assert [message.headers["x-death"][0]["reason"] for message in dead] == ["rejected", "expired"]


def test_queue_that_nobody_uses_expires(channel):
    declare(channel, expires=20)

    wait_until(lambda: publish(channel) == UNROUTABLE)


@pytest.mark.parametrize("other", ["memory://", "memory://tests/vhost", "memory://other"])
def test_brokers_of_other_names_share_nothing(connect, channel, other):
    declare(channel)

    assert publish(connect(other).channel()) == UNROUTABLE


def test_connections_of_one_name_share_everything_until_it_is_reset(connect, channel):
    declare(channel)
    before = publish(connect().channel())

    reset(URI)

    assert (before, publish(connect().channel())) == (ROUTED, UNROUTABLE)


def test_reader_wakes_when_its_connection_is_closed_by_force(connect, connection, channel):
    declare(channel)
    lost = []
    channel.on_lost = lost.append
    driver = connection.connection
    reader = spawn(lambda: pytest.raises(ConnectionForced, driver.drain_events))
    sleep(0)

    drop_connections(URI)
    error = reader.wait().value

    assert "CONNECTION_FORCED" in str(error)
    assert lost == [error]
    assert not driver.connected
    for use in (lambda: publish(channel), driver.channel, driver.drain_events):
        with pytest.raises((RecoverableConnectionError, ConnectionForced)):
            use()
    channel.close()
    assert count(connect().channel()) == 0


def test_reader_wakes_when_its_connection_is_closed_in_order(connection):
    driver = connection.connection
    reader = spawn(lambda: pytest.raises(RecoverableConnectionError, driver.drain_events))
    sleep(0)

    connection.close()

    assert "closed" in str(reader.wait().value)


def test_timeout_of_a_reader_is_kept(connection):
    started = monotonic()

    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.03)

    assert 0.03 <= monotonic() - started < 1


def test_idle_reader_costs_nothing(connection, channel):
    declare(channel)
    channel.basic_consume("q", callback=print)
    reader = spawn(connection.drain_events)
    started = process_time()

    assert not Event().wait(0.2)

    kill(reader)
    assert process_time() - started < 0.02


def test_everything_works_in_a_process_that_nobody_patched():
    script = (
        "import kombu\n"
        "from rpcnode.concurrency import is_patched, spawn\n"
        f"client = kombu.Connection('memory://', transport='{TRANSPORT}')\n"
        "channel = client.channel()\n"
        "channel.queue_declare('q')\n"
        "got = []\n"
        "channel.basic_consume('q', callback=got.append, no_ack=True)\n"
        "reader = spawn(client.drain_events)\n"
        "channel.basic_publish(channel.prepare_message(b'hello'), '', 'q')\n"
        "reader.wait()\n"
        "assert not is_patched()\n"
        "print(got[0].body.decode())\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )

    assert (result.returncode, result.stdout) == (0, "hello\n"), result.stderr
