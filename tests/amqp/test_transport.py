"""Frames as they come in, in whatever pieces, and synchronous methods of many green threads."""

import logging
import struct
from contextlib import suppress
from itertools import pairwise

import kombu
import pytest
from amqp import spec
from amqp.exceptions import NotFound, RecoverableConnectionError, UnexpectedFrame
from amqp.serialization import dumps

from rpcnode.amqp.channel import Channel
from rpcnode.amqp.sockets import HIGH_WATER, TcpSocket
from rpcnode.concurrency import Timeout, kill, sleep, socket, spawn
from tests.amqp.broker import linked, outgoing, wait_until
from tests.amqp.hand_fed import hand_fed

HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(number, arguments=b"", channel=1):
    return frame(1, channel, struct.pack(">HH", *number) + arguments)


def content(*bodies, size=None, channel=1):
    total = sum(map(len, bodies)) if size is None else size
    header = struct.pack(">HHQ", 60, 0, total) + b"\x80\0\x04text"
    return frame(2, channel, header) + b"".join(frame(3, channel, each) for each in bodies)


def deliver(tag, *bodies, consumer="consumer"):
    arguments = dumps("sLbss", (consumer, tag, False, "x", "k"))
    return method(spec.Basic.Deliver, arguments) + content(*bodies)


@pytest.fixture(params=[True, False], ids=["fast path", "py-amqp"])
def connection(request):
    """A connection with an open channel 1 that a test feeds by hand."""
    return hand_fed(1, fast_path=request.param)


@pytest.fixture
def received(connection):
    """What the consumer of channel 1 received: (tag, body, content type)."""
    received = []

    def receive(message):
        info = message.delivery_info
        received.append((info["delivery_tag"], message.body, message.properties["content_type"]))

    connection.channels[1].callbacks["consumer"] = receive
    return received


STREAM = (
    deliver(1, b"one")
    + HEARTBEAT
    + deliver(2, b"in ", b"two ", b"frames")
    + deliver(3)
    + method(spec.Basic.CancelOk, dumps("s", ("another",)))
    + deliver(4, b"x" * 300)
)
EXPECTED = [
    (1, b"one", "text"),
    (2, b"in two frames", "text"),
    (3, b"", "text"),
    (4, b"x" * 300, "text"),
]


@pytest.mark.parametrize("at", range(0, len(STREAM), 7))
def test_stream_that_is_split_at_any_byte_is_read_alike(connection, received, at):
    for split in range(at, min(at + 7, len(STREAM))):
        received.clear()

        rest = connection._dispatch(STREAM[:split])
        rest = connection._dispatch(rest + STREAM[split:])

        assert rest == b""
        assert received == EXPECTED


def test_stream_that_comes_byte_by_byte_is_read_alike(connection, received):
    rest = b""
    for position in range(len(STREAM)):
        rest = connection._dispatch(rest + STREAM[position : position + 1])

    assert rest == b""
    assert received == EXPECTED


def test_contents_of_two_channels_may_be_interleaved(connection, received):
    other = []
    Channel(connection, 2).is_open = True
    connection.channels[2].callbacks["consumer"] = lambda message: other.append(message.body)
    arguments = dumps("sLbss", ("consumer", 1, False, "", "k"))

    connection._dispatch(
        method(spec.Basic.Deliver, arguments)
        + method(spec.Basic.Deliver, arguments, channel=2)
        + content(b"second", channel=2)
        + content(b"first")
    )

    assert other == [b"second"]
    assert received == [(1, b"first", "text")]


def test_what_comes_late_on_a_channel_that_the_broker_has_closed_is_dropped(connection, received):
    closed = dumps("BsBB", (406, "PRECONDITION_FAILED", 60, 80))
    late = deliver(2, b"late") + method(spec.Basic.CancelOk, dumps("s", ("consumer",)))

    rest = connection._dispatch(
        deliver(1, b"one") + method(spec.Channel.Close, closed) + late + deliver(3, b"l", b"ate")
    )

    assert rest == b""
    assert received == [(1, b"one", "text")]


def test_what_comes_late_for_a_channel_is_not_taken_for_the_next_one_of_its_number(connection):
    closed = dumps("BsBB", (406, "PRECONDITION_FAILED", 60, 80))
    connection._dispatch(method(spec.Channel.Close, closed))
    opening = spawn(connection.channel)
    wait_until(lambda: 1 in connection.channels)
    written = connection.transport.written

    connection._dispatch(deliver(1, b"late"))
    connection._dispatch(method(spec.Channel.OpenOk, dumps("S", ("",))))

    assert opening.wait().channel_id == 1
    assert connection.transport.written == written


def test_part_of_a_frame_is_a_sign_of_life_too(connection):
    connection.transport.reads = [STREAM[:20], STREAM[20:30]]

    connection.drain_events()
    after_one = connection.bytes_recv
    connection.drain_events()

    assert (after_one, connection.bytes_recv) == (1, 2)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (HEARTBEAT[:-1] + b"\x00", "ends with 0x00"),
        (frame(3, 1, b"a body of nothing"), "kind 3 on channel 1"),
        (frame(7, 1, b"what is this"), "kind 7 on channel 1"),
        (method(spec.Basic.CancelOk, b"\0", channel=9), "channel 9, which is not open"),
        (deliver(1, b"x")[:-9] + method(spec.Basic.CancelOk, b"\0"), "kind 1 on channel 1"),
        (deliver(1, b"x")[:-9] + deliver(2, b"x"), "kind 1 on channel 1"),
        (deliver(1, b"x")[:-9] + content(b"x"), "kind 2 on channel 1"),
        (deliver(1)[:34] + frame(3, 1, b"x"), "kind 3 on channel 1"),
        (deliver(1)[:34] + content(channel=2), "kind 2 on channel 2"),
        (deliver(1, b"x")[:-9] + frame(3, 2, b"x"), "kind 3 on channel 2"),
        (deliver(1, b"x")[:-10] + b"\0" + frame(3, 1, b"x"), "ends with 0x00"),
        (deliver(1, b"x")[:-1] + b"\0", "ends with 0x00"),
        (deliver(1)[:-1] + b"\0", "ends with 0x00"),
        (b"\x01\0\x01\xff\xff\xff\xff rest", "more than was agreed on"),
    ],
    ids=[
        *("end", "body alone", "kind", "channel", "body missing", "body missing, then another"),
        *("two headers", "header missing", "header elsewhere", "body elsewhere"),
        *("end of a header", "end of a body", "end of a header without a body", "size"),
    ],
)
def test_frame_that_cannot_be_is_an_error_of_the_connection(connection, received, data, complaint):
    with pytest.raises(UnexpectedFrame, match=complaint):
        connection._dispatch(data)

    assert received == []


def test_delivery_with_unreadable_properties_is_handed_over_as_a_problem(connection):
    messages = []
    connection.channels[1].callbacks["consumer"] = messages.append
    arguments = dumps("sLbss", ("consumer", 1, False, "", "k"))
    header = struct.pack(">HHQ", 60, 0, 4) + b"\x80\0\x04\xff\xfe\xfd\xfc"

    connection._dispatch(
        method(spec.Basic.Deliver, arguments) + frame(2, 1, header) + frame(3, 1, b"body")
    )

    (message,) = messages
    assert (message.body, message.properties) == (b"body", {})
    assert isinstance(message.problem, UnicodeDecodeError)


def test_delivery_for_an_unknown_consumer_goes_back(connection, received):
    connection._dispatch(deliver(5, b"stray", consumer="unknown"))

    rejected = method(spec.Basic.Reject, struct.pack(">QB", 5, 1))
    assert received == []
    assert connection.transport.written == rejected


def test_closing_channel_dispatches_nothing_but_the_answer(connection, received, caplog):
    channel = connection.channels[1]
    channel.start_closing()
    written = connection.transport.written

    with caplog.at_level(logging.DEBUG):
        connection._dispatch(deliver(1, b"late") + method(spec.Basic.CancelOk, b"\0"))
        still_there = 1 in connection.channels
        connection._dispatch(method(spec.Channel.CloseOk))

    assert (received, still_there) == ([], True)
    assert connection.transport.written == written
    assert 1 not in connection.channels
    assert "ignored" not in caplog.text


def test_closes_that_cross_do_not_free_the_channel_number_too_early(connection):
    channel = connection.channels[1]
    channel.start_closing()

    connection._dispatch(method(spec.Channel.Close, dumps("BsBB", (404, "NOT_FOUND", 60, 40))))
    is_kept = 1 in connection.channels
    connection._dispatch(method(spec.Channel.CloseOk))

    assert is_kept
    assert connection.transport.written.endswith(method(spec.Channel.CloseOk))
    assert 1 not in connection.channels
    assert channel.connection is None


def test_channel_that_the_broker_closes_fails_who_waits_and_tells_its_owner(connection):
    channel = connection.channels[1]
    lost = []
    channel.on_lost = lost.append
    waiter = spawn(channel.queue_declare, "q", passive=True)
    wait_until(lambda: connection.transport.written)

    connection._dispatch(method(spec.Channel.Close, dumps("BsBB", (404, "no queue", 50, 10))))

    with pytest.raises(NotFound, match="no queue"):
        waiter.wait()
    assert [type(each) for each in lost] == [NotFound]


def test_answer_that_comes_too_late_is_not_taken_for_another(connection):
    channel = connection.channels[1]

    def declare_impatiently():
        with Timeout(0.01, False):
            channel.queue_declare("slow", passive=True)

    spawn(declare_impatiently).wait()
    waiter = spawn(channel.queue_declare, "q", passive=True)
    wait_until(lambda: connection.transport.written.count(b"\x01q") == 1)
    connection._dispatch(method(spec.Queue.DeclareOk, dumps("sll", ("slow", 1, 0))))
    connection._dispatch(method(spec.Queue.DeclareOk, dumps("sll", ("q", 2, 0))))

    assert waiter.wait() == ("q", 2, 0)


def test_same_method_of_many_green_threads_is_answered_in_order(connection):
    channel = connection.channels[1]
    names = [f"queue-{number}" for number in range(20)]
    waiters = [spawn(channel.queue_declare, name, passive=True) for name in names]
    wait_until(lambda: connection.transport.written.count(b"queue-") == 20)

    for name in names:
        connection._dispatch(method(spec.Queue.DeclareOk, dumps("sll", (name, 0, 0))))

    assert [waiter.wait().queue for waiter in waiters] == names


def test_killed_waiter_leaves_the_channel_usable(connection):
    channel = connection.channels[1]
    killed = spawn(channel.basic_qos, 0, 1, False)
    wait_until(lambda: connection.transport.written)
    kill(killed)

    waiter = spawn(channel.basic_qos, 0, 2, False)
    wait_until(lambda: connection.transport.written.count(b"\0\x3c\0\x0a") == 2)
    connection._dispatch(method(spec.Basic.QosOk))
    sleep(0.01)
    was_answered_early = waiter.dead
    connection._dispatch(method(spec.Basic.QosOk))
    waiter.wait()

    assert not was_answered_early


def test_loss_of_the_connection_fails_who_waits_and_tells_every_channel(connection, caplog):
    lost = []
    Channel(connection, 2).is_open = True
    connection.channels[1].on_lost = lambda _error: 1 / 0
    connection.channels[2].on_lost = lost.append
    waiter = spawn(connection.channels[1].basic_qos, 0, 1, False)
    wait_until(lambda: connection.transport.written)
    error = RecoverableConnectionError("cut")

    connection.fail_waiters(error)

    with pytest.raises(RecoverableConnectionError, match="cut"):
        waiter.wait()
    assert lost == [error]
    assert "ZeroDivisionError" in caplog.text


def test_method_on_a_lost_connection_fails_at_once(connection):
    channel = connection.channels[1]
    connection.fail_waiters(RecoverableConnectionError("cut"))

    with pytest.raises(RecoverableConnectionError):
        channel.basic_qos(0, 1, False)
    with pytest.raises(RecoverableConnectionError):
        connection.channel()


def test_synchronous_method_in_the_reader_is_an_error_instead_of_a_hang(connection):
    def read():
        connection.reader = reader
        connection.channels[1].basic_qos(0, 1, False)

    reader = spawn(read)

    with pytest.raises(RuntimeError, match="by the reader"):
        reader.wait()


def test_channel_that_nobody_waited_for_any_more_is_closed(connection):
    opening = spawn(connection.channel)
    wait_until(lambda: len(connection.channels) == 3)
    kill(opening)

    connection._dispatch(method(spec.Channel.OpenOk, b"\0\0\0\0", channel=2))
    connection._dispatch(method(spec.Channel.CloseOk, channel=2))

    assert sorted(connection.channels) == [0, 1]


@pytest.fixture
def pair():
    """A batching socket and its peer."""
    ours, peer = socket.socketpair()
    batching = TcpSocket("localhost:1")
    batching.sock = ours
    batching.start_batching()
    yield batching, peer
    batching.close()
    peer.close()


def read_exactly(peer, size):
    data = b""
    while len(data) < size:
        data += peer.recv(min(65536, size - len(data)))
    return data


def test_writes_of_one_hub_round_are_sent_together(pair):
    batching, peer = pair

    for number in range(100):
        batching.write(b"%03d" % number)

    assert peer.recv(65536) == b"".join(b"%03d" % number for number in range(100))


def test_lent_buffer_may_be_used_again_at_once(pair):
    batching, peer = pair
    buffer = bytearray(b"first")

    batching.write(memoryview(buffer))
    buffer[:] = b"again"

    assert peer.recv(100) == b"first"


def test_more_than_the_socket_takes_arrives_whole_and_in_order(pair):
    batching, peer = pair
    chunks = [bytes([number]) * 50_000 for number in range(100)]

    for chunk in chunks:
        batching.write(chunk)
    reading = spawn(read_exactly, peer, 5_000_000)
    sleep(0)
    batching.write(b"the end")

    assert reading.wait() + read_exactly(peer, 7) == b"".join(chunks) + b"the end"


def test_writer_waits_above_the_high_water_mark_and_goes_on_below(pair):
    batching, peer = pair
    batching.write(b"x" * (HIGH_WATER + 5_000_000))
    waiting = spawn(batching.wait_for_room, 10)
    gives_up = spawn(batching.wait_for_room, 0.02)

    assert not gives_up.wait()
    assert not waiting.dead
    spawn(read_exactly, peer, HIGH_WATER + 5_000_000)
    assert waiting.wait()


def test_writer_goes_on_when_the_socket_takes_everything_at_once(pair):
    batching, _peer = pair
    batching._send_now = len  # a kernel with large buffers
    batching.write(b"x" * (HIGH_WATER + 1))

    assert batching.wait_for_room(5)


def test_writer_that_waits_for_room_is_woken_when_the_socket_is_closed(pair):
    batching, _peer = pair
    batching.write(b"x" * (HIGH_WATER + 5_000_000))
    waiting = spawn(batching.wait_for_room, None)
    wait_until(lambda: batching._sender is not None)
    sender = batching._sender

    batching.close()

    assert waiting.wait()
    wait_until(lambda: sender.dead)


def test_reader_is_woken_when_the_socket_is_closed(pair):
    batching, _peer = pair
    reading = spawn(batching.receive)
    sleep()

    batching.close()

    assert reading.join(5)
    assert reading.wait() == b""


def test_peer_that_is_gone_ends_the_sender_and_wakes_the_reader(pair):
    batching, peer = pair
    batching.write(b"x" * 5_000_000)
    wait_until(lambda: batching._sender is not None)
    reading = spawn(batching.receive)

    peer.close()

    with Timeout(5):
        wait_until(lambda: batching._sender is None)
        with suppress(OSError):  # a reset is as good
            assert reading.wait() == b""


def test_twenty_green_threads_declare_on_channels_of_their_own(vhost_uri):
    with linked(vhost_uri) as link:

        def declare(name):
            channel = link.channel()
            answer = channel.queue_declare(name, durable=True, auto_delete=False)
            channel.close()
            return answer.queue

        names = [f"queue-{number}" for number in range(20)]
        threads = [spawn(declare, name) for name in names]

        assert [thread.wait() for thread in threads] == names
        assert link._driver._used_channel_ids.tolist() == []


def test_twenty_green_threads_declare_on_one_channel(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel()
        names = [f"queue-{number}" for number in range(20)]
        threads = [
            spawn(channel.queue_declare, name, durable=True, auto_delete=False) for name in names
        ]

        assert [thread.wait().queue for thread in threads] == names


def test_kombu_producers_of_many_green_threads_share_a_connection(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel()
        channel.queue_declare("q", durable=True, auto_delete=False)

        def publish():
            producer = kombu.Producer(channel, serializer="json")
            for number in range(20):
                producer.publish({"number": number}, routing_key="q")
                sleep(0)

        threads = [spawn(publish) for _ in range(5)]
        for thread in threads:
            thread.wait()

        wait_until(lambda: channel.queue_declare("q", passive=True).message_count == 100)
        assert link.generation == 1


def test_timeout_in_a_declare_leaves_the_channel_in_order(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel()
        for _ in range(20):
            with Timeout(0, False):
                channel.queue_declare("abandoned", durable=True, auto_delete=False)

        answer = channel.queue_declare("wanted", durable=True, auto_delete=False)

        assert answer.queue == "wanted"


def test_prefetched_messages_leave_others_their_turn(vhost_uri):
    amount = 10_000
    with linked(vhost_uri) as link:
        channel = link.channel()
        channel.queue_declare("q", durable=True, auto_delete=False)
        for _ in range(amount):
            channel.publish(outgoing("q", b"x" * 70))
        wait_until(lambda: channel.queue_declare("q", passive=True).message_count == amount)
        received, seen = [], [0]

        def look_on():
            while len(received) < amount:
                sleep(0)
                seen.append(len(received))

        looking = spawn(look_on)
        channel.basic_consume("q", consumer_tag="t", no_ack=True, callback=received.append)
        looking.wait()

        # Some hundred messages take a few milliseconds.
        assert max(later - former for former, later in pairwise(seen)) < 1000
