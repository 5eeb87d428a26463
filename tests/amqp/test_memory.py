"""The embedded broker through kombu: `memory://`."""

import subprocess
import sys
from time import monotonic, process_time

import kombu
import pytest
from amqp.exceptions import (
    ConnectionForced,
    ConsumerCancelled,
    NotFound,
    RecoverableConnectionError,
)

from rpcnode.amqp.memory import drop_connections, reset
from rpcnode.amqp.outcomes import REJECTED, ROUTED, UNROUTABLE
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


def test_reader_tells_which_error_has_closed_the_channel(connection, channel):
    lost = []
    channel.on_lost = lost.append

    with pytest.raises(NotFound, match="NOT_FOUND - no exchange 'x' in vhost '/'") as error:
        publish(channel, exchange="x")
    with pytest.raises(RecoverableConnectionError):
        publish(channel)
    drain(connection)

    assert (channel.closed, channel.connection) == (True, None)
    assert lost == [error.value]


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
