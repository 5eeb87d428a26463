"""The codec by hand against py-amqp's, on messages drawn at random.

Hypothesis draws seeds, and the shape of a stream: how many channels, how large frames and reads
may be. The messages of a stream come from `random`, started with its seed: that is cheap enough
for many. What is counted is messages, each of which was compared as a whole. None of them is
shrunk: an example that fails names its seed.

RPCNODE_TEST_CODEC_MESSAGES says how many messages each of the large tests is to compare.
"""

import os
from collections import defaultdict

import amqp
import pytest
from amqp import spec
from amqp.serialization import dumps
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rpcnode.amqp import codec, stock
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.unencodable import ENCODING_ERRORS
from rpcnode.exceptions import PublishRejected, UnserializableHeader
from tests.amqp.hand_fed import hand_fed
from tests.amqp.random_messages import Draw

MESSAGES = int(os.environ.get("RPCNODE_TEST_CODEC_MESSAGES", "100000"))
IN_A_STREAM = 500
SEEDS = st.integers(0, 2**64 - 1)
UNENCODABLE = (2**63, -(2**63) - 1, object(), {1: "x"}, {"x" * 256: 1}, "\ud800")


def examples(messages):
    return settings(
        max_examples=-(-messages // IN_A_STREAM),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def published_by_hand(channel, message):
    """Return what is written, or the error."""
    socket = channel.connection.transport
    socket.written = b""
    try:
        channel.publish(message)
    except (UnserializableHeader, PublishRejected) as exc:
        assert socket.written == b""
        return type(exc.__cause__ or exc)
    return socket.written


def published_by_py_amqp(channel, message):
    socket = channel.connection.transport
    socket.written = b""
    content = amqp.Message(
        message.body, application_headers=message.headers or None, **message.properties
    )
    try:
        arguments = dumps(
            "Bssbb", (0, message.exchange, message.routing_key, message.mandatory, False)
        )
        if len(content._serialize_properties()) > channel.connection.frame_max - 20:
            return UnserializableHeader
        channel.connection.frame_writer(1, 1, spec.Basic.Publish, arguments, content)
    except ENCODING_ERRORS as exc:
        return type(exc)
    return socket.written


@pytest.mark.timeout(600)
def test_publish_is_byte_for_byte_that_of_py_amqp():
    counted = {"same": 0, "refused": 0}

    @examples(MESSAGES)
    @given(SEEDS, st.sampled_from([512, 4096, 131_072]))
    def compare(seed, frame_max):
        draw = Draw(seed)
        channel = hand_fed(1).channels[1]
        channel.connection.frame_max = frame_max
        for _ in range(IN_A_STREAM):
            headers = draw.headers()
            if draw.random() < 0.02:
                headers["odd"] = draw.choice(UNENCODABLE)
            size = draw.choice((0, draw.randrange(100), draw.randrange(3 * 512)))
            body = draw.randbytes(size)
            message = Outgoing(
                draw.text(), draw.text(), body, draw.properties(), headers, draw.random() < 0.5
            )

            by_hand = published_by_hand(channel, message)

            assert by_hand == published_by_py_amqp(channel, message), message
            counted["same" if isinstance(by_hand, bytes) else "refused"] += 1

    compare()

    assert counted["same"] + counted["refused"] >= MESSAGES
    assert counted["same"] > 0.8 * MESSAGES
    assert counted["refused"] > 0


def read_by_py_amqp(parts):
    """Return what py-amqp makes of a delivery: its properties, or the error."""
    tag, redelivered, exchange, key, body, header = parts
    content = amqp.Message(b"")
    try:
        content.inbound_header(header)
    except Exception as exc:
        return tag, redelivered, exchange, key, body, {}, type(exc)
    return tag, redelivered, exchange, key, body, content.properties, None


def read_by_hand(content):
    info = content.delivery_info
    return (
        *(info["delivery_tag"], info["redelivered"], info["exchange"], info["routing_key"]),
        *(content.body, content.properties, content.problem and type(content.problem)),
    )


def listen(connection):
    """Consume on all channels; return what they receive, as text: NaN is equal to itself there."""
    received = defaultdict(list)
    for number, channel in connection.channels.items():
        if number:
            channel.callbacks[f"rpcnode-{number}"] = lambda content, number=number: received[
                number
            ].append(repr(read_by_hand(content)))
    return received


def feed(connection, reads):
    connection.transport.reads = list(reads)
    while connection.transport.reads:
        connection.drain_events()


@pytest.mark.timeout(600)
def test_deliveries_are_read_as_py_amqp_reads_them_however_they_are_cut():
    counted = {"read": 0, "undecodable": 0}

    @examples(MESSAGES)
    @given(SEEDS, st.integers(1, 4), st.sampled_from([3, 50, 400, 4096, 65_536]))
    def compare(seed, channels, longest_read):
        draw = Draw(seed)
        numbers = range(1, channels + 1)
        connection = hand_fed(*numbers)
        received = listen(connection)
        streams, expected = defaultdict(list), defaultdict(list)
        for tag in range(IN_A_STREAM):
            number = draw.choice(numbers)
            frames, parts = draw.delivery(number, tag)
            streams[number] += frames
            outcome = read_by_py_amqp(parts)
            expected[number].append(repr(outcome))
            counted["read" if outcome[-1] is None else "undecodable"] += 1
        frames = draw.interleaved(streams.values())

        feed(connection, draw.reads(b"".join(frames), longest_read))

        assert received == expected

    compare()

    assert counted["read"] + counted["undecodable"] >= MESSAGES
    assert counted["read"] > 0.8 * MESSAGES
    assert counted["undecodable"] > 0


@settings(max_examples=50, deadline=None, database=None, phases=[Phase.generate])
@given(SEEDS)
def test_deliveries_are_read_alike_when_they_are_cut_at_any_byte(seed):
    draw = Draw(seed)
    first, second = draw.delivery(1, 1), draw.delivery(1, 2)
    stream = b"".join(first[0] + second[0])
    expected = [repr(read_by_py_amqp(parts)) for _frames, parts in (first, second)]
    connection = hand_fed(1)
    received = listen(connection)

    for at in range(1, len(stream)):
        received.clear()
        feed(connection, [stream[:at], stream[at:]])

        assert received[1] == expected


@settings(max_examples=100, deadline=None, database=None, phases=[Phase.generate])
@given(SEEDS)
def test_whole_deliveries_in_one_frame_take_the_fast_path(seed):
    frames, parts = Draw(seed).delivery(1, 7)
    stream = b"".join(frames)
    end = len(frames[0]) - 1

    found = codec.read_delivery(stream, 1, 11, end)

    if len(frames) > 3:
        assert found is None
    else:
        content, offset = found
        assert offset == len(stream)
        assert repr(read_by_hand(content)) == repr(read_by_py_amqp(parts))


@settings(max_examples=200, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_any_bytes_for_properties_have_the_outcome_that_they_have_with_py_amqp(data):
    header = b"\0\x3c\0\0" + bytes(8) + data

    outcomes = [outcome(each.decode_properties, header) for each in (codec, stock)]

    assert outcomes[0] == outcomes[1]


def outcome(function, *args):
    try:
        return repr(function(*args))
    except Exception as exc:
        return type(exc)
