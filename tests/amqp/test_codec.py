"""The hot AMQP methods: byte for byte what py-amqp would write, and nothing half written."""

from datetime import datetime

import amqp
import pytest
from amqp import spec
from amqp.exceptions import RecoverableConnectionError
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from rpcnode.amqp.codec import (
    ReceivedContent,
    encoding_error,
    read_ack,
    read_deliver,
    write_ack,
    write_publish,
)
from rpcnode.amqp.message import Outgoing
from rpcnode.exceptions import PublishRejected, UnserializableHeader

PROPERTIES = {
    "content_type": "application/json",
    "delivery_mode": 2,
    "message_id": "m-1",
    "timestamp": 1_700_000_000,
    "expiration": "30000",
}


class Socket:
    """Collects what is written."""

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += bytes(data)


class Connection:
    """What the codec needs of a connection."""

    def __init__(self, frame_max=4096):
        self.transport = Socket()
        self.frame_max = frame_max
        self.bytes_sent = 0
        self.frame_writer = frame_writer(self, self.transport)


class Channel:
    """What the codec needs of a channel."""

    channel_id = 7

    def __init__(self, **options):
        self.connection = Connection(**options)

    @property
    def written(self):
        return self.connection.transport.written


def message(headers=None, body=b"body", exchange="orders.events", key="placed", **properties):
    return Outgoing(exchange, key, body, {**PROPERTIES, **properties}, headers or {})


def as_py_amqp_writes_it(outgoing):
    channel = Channel()
    content = amqp.Message(
        outgoing.body, application_headers=outgoing.headers or None, **outgoing.properties
    )
    arguments = dumps("Bssbb", (0, outgoing.exchange, outgoing.routing_key, outgoing.mandatory, 0))
    channel.connection.frame_writer(1, 7, spec.Basic.Publish, arguments, content)
    return channel.written


@pytest.mark.parametrize(
    "outgoing",
    [
        message(),
        message(
            {"text": "é", "number": 1, "list": [1, {"deep": None}], "at": datetime(2026, 1, 1)}
        ),
        message(body=b""),
        message(body=b"x" * 20_000),
        message(exchange="", key="ключ" * 20),
        Outgoing("x", "k", b"", {"message_id": "m"}, {}, mandatory=True),
    ],
)
def test_publish_is_written_as_py_amqp_writes_it(outgoing):
    channel = Channel()

    write_publish(channel, outgoing)

    assert channel.written == as_py_amqp_writes_it(outgoing)
    assert channel.connection.bytes_sent == 1


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_bodies_are_cut_where_py_amqp_cuts_them(frames, more):
    channel, outgoing = Channel(), message(body=b"x" * (4088 * frames + more))

    write_publish(channel, outgoing)

    assert channel.written == as_py_amqp_writes_it(outgoing)


@pytest.mark.parametrize("multiple", [False, True])
def test_ack_is_written_as_py_amqp_writes_it(multiple):
    channel, theirs = Channel(), Channel()
    theirs.connection.frame_writer(1, 7, spec.Basic.Ack, dumps("Lb", (2**40, multiple)), None)

    write_ack(channel, 2**40, multiple)

    assert channel.written == theirs.written
    assert channel.connection.bytes_sent == 1


@pytest.mark.parametrize(
    ("outgoing", "culprit"),
    [
        (message({"fine": 1, "bad": object()}), "the header 'bad'"),
        (message({"bad": [1, {"deep": {1, 2}}]}), "the header 'bad'"),
        (message({"bad": 2**70}), "the header 'bad'"),
        (message({5: "a key that is no text"}), "the header 5"),
        (message({"k" * 256: 1}), "the header 'kkkk"),
    ],
)
def test_header_that_cannot_be_encoded_is_named_and_nothing_is_written(outgoing, culprit):
    channel = Channel()

    with pytest.raises(UnserializableHeader, match=culprit):
        write_publish(channel, outgoing)

    assert channel.written == b""


@pytest.mark.parametrize(
    ("outgoing", "culprit"),
    [
        (message(timestamp=1.5), "property 'timestamp'"),
        (message(correlation_id="c" * 256), "property 'correlation_id'"),
        (message(priority=256), "property 'priority'"),
        (message(expiration="soon"), "expiration 'soon'"),
        (message(expiration="315360000001"), "expiration '315360000001'"),
        (message(expiration="-1"), "expiration '-1'"),
        (message(expiration=1000), "property 'expiration'"),
        (message(key="k" * 256), "routing key 'kkkk"),
    ],
)
def test_property_that_cannot_be_sent_is_named_and_nothing_is_written(outgoing, culprit):
    channel = Channel()

    with pytest.raises(PublishRejected, match=culprit):
        write_publish(channel, outgoing)

    assert channel.written == b""


def test_headers_larger_than_a_frame_are_refused_before_anything_is_written():
    channel = Channel(frame_max=4096)

    with pytest.raises(UnserializableHeader, match="more than the 4076 of a frame"):
        write_publish(channel, message({"large": "x" * 4096}))

    assert channel.written == b""


def test_headers_that_just_fit_into_a_frame_are_written():
    channel = Channel(frame_max=4096)
    fixed = len(amqp.Message(application_headers={"large": ""})._serialize_properties())

    write_publish(channel, Outgoing("", "q", b"b", {}, {"large": "x" * (4076 - fixed)}))

    assert channel.written.count(b"x" * (4076 - fixed)) == 1


def test_encoding_error_without_a_culprit_names_exchange_and_key():
    error = encoding_error(message(), ValueError("odd"))

    assert "exchange 'orders.events', routing key 'placed'" in str(error)
    assert "odd" in str(error)


@pytest.mark.parametrize(
    "write", [lambda c: write_publish(c, message()), lambda c: write_ack(c, 1)]
)
def test_closed_channel_writes_nothing_and_says_so(write):
    channel = Channel()
    channel.connection = None

    with pytest.raises(RecoverableConnectionError):
        write(channel)


def test_deliver_is_read_as_py_amqp_reads_it():
    arguments = b"\0\0\0\0" + dumps("sLbss", ("tag", 2**33, True, "exchange", "ключ"))

    tag, info = read_deliver(arguments)

    assert tag == "tag"
    assert info == {
        "consumer_tag": "tag",
        "delivery_tag": 2**33,
        "redelivered": True,
        "exchange": "exchange",
        "routing_key": "ключ",
    }


@pytest.mark.parametrize("multiple", [False, True])
def test_confirm_is_read_as_py_amqp_reads_it(multiple):
    assert read_ack(b"\0\0\0\0" + dumps("Lb", (2**40, multiple))) == (2**40, multiple)


def test_routing_key_that_is_no_text_is_read_all_the_same():
    arguments = b"\0\0\0\0" + dumps("sLbss", ("tag", 1, False, "", b"a\xffb"))

    _tag, info = read_deliver(arguments)

    assert info["routing_key"] == "a\ufffdb"


def test_properties_that_cannot_be_read_are_a_problem_of_their_message():
    far_future = b"\x04fromT" + (2**60).to_bytes(8, "big")
    table = len(far_future).to_bytes(4, "big") + far_future
    header = b"\0\x3c\0\0" + (4).to_bytes(8, "big") + b"\x20\0" + table
    content = ReceivedContent(spec.Basic.Deliver, b"")

    content.inbound_header(header)
    content.inbound_body(b"body")

    assert content.ready
    assert content.body == b"body"
    assert content.properties == {}
    assert isinstance(content.problem, Exception)


def test_content_without_a_body_has_empty_bytes():
    content = ReceivedContent(spec.Basic.Deliver, b"")

    content.inbound_header(b"\0\x3c\0\0" + (0).to_bytes(8, "big") + b"\0\0")

    assert content.ready
    assert content.body == b""
    assert content.problem is None
