"""The hot AMQP methods, by hand and stock: what py-amqp would write, and nothing half written."""

from datetime import datetime

import amqp
import pytest
from amqp import spec
from amqp.exceptions import RecoverableConnectionError
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from rpcnode.amqp import codec as by_hand
from rpcnode.amqp import stock
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.tables import MOST_REMEMBERED
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

    def send_method(self, method, kinds, values):
        arguments = dumps(kinds, values)
        self.connection.frame_writer(1, self.channel_id, method, arguments, None)

    @property
    def written(self):
        return self.connection.transport.written


@pytest.fixture(params=[by_hand, stock], ids=["by hand", "stock"])
def codec(request):
    """Either way to encode and decode."""
    return request.param


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
def test_publish_is_written_as_py_amqp_writes_it(codec, outgoing):
    channel = Channel()

    codec.write_publish(channel, outgoing)

    assert channel.written == as_py_amqp_writes_it(outgoing)
    assert channel.connection.bytes_sent == 1


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_bodies_are_cut_where_py_amqp_cuts_them(codec, frames, more):
    channel, outgoing = Channel(), message(body=b"x" * (4088 * frames + more))

    codec.write_publish(channel, outgoing)

    assert channel.written == as_py_amqp_writes_it(outgoing)


@pytest.mark.parametrize("multiple", [False, True])
def test_ack_is_written_as_py_amqp_writes_it(codec, multiple):
    channel, theirs = Channel(), Channel()
    theirs.connection.frame_writer(1, 7, spec.Basic.Ack, dumps("Lb", (2**40, multiple)), None)

    codec.write_ack(channel, 2**40, multiple)

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
def test_header_that_cannot_be_encoded_is_named_and_nothing_is_written(codec, outgoing, culprit):
    channel = Channel()

    with pytest.raises(UnserializableHeader, match=culprit):
        codec.write_publish(channel, outgoing)

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
def test_property_that_cannot_be_sent_is_named_and_nothing_is_written(codec, outgoing, culprit):
    channel = Channel()

    with pytest.raises(PublishRejected, match=culprit):
        codec.write_publish(channel, outgoing)

    assert channel.written == b""


def test_headers_larger_than_a_frame_are_refused_before_anything_is_written(codec):
    channel = Channel(frame_max=4096)

    with pytest.raises(UnserializableHeader, match="more than the 4076 of a frame"):
        codec.write_publish(channel, message({"large": "x" * 4096}))

    assert channel.written == b""


def test_headers_that_just_fit_into_a_frame_are_written(codec):
    channel = Channel(frame_max=4096)
    fixed = len(amqp.Message(application_headers={"large": ""})._serialize_properties())

    codec.write_publish(channel, Outgoing("", "q", b"b", {}, {"large": "x" * (4076 - fixed)}))

    assert channel.written.count(b"x" * (4076 - fixed)) == 1


def test_closed_channel_writes_nothing_and_says_so(codec):
    channel = Channel()
    channel.connection = None

    with pytest.raises(RecoverableConnectionError):
        codec.write_publish(channel, message())
    with pytest.raises(RecoverableConnectionError):
        codec.write_ack(channel, 1)


def test_deliver_is_read_as_py_amqp_reads_it(codec):
    arguments = b"\0\0\0\0" + dumps("sLbss", ("tag", 2**33, True, "exchange", "ключ"))

    info = codec.read_deliver(arguments)

    assert info == {
        "consumer_tag": "tag",
        "delivery_tag": 2**33,
        "redelivered": True,
        "exchange": "exchange",
        "routing_key": "ключ",
    }


@pytest.mark.parametrize("multiple", [False, True])
def test_confirm_is_read_as_py_amqp_reads_it(codec, multiple):
    assert codec.read_ack(b"\0\0\0\0" + dumps("Lb", (2**40, multiple))) == (2**40, multiple)


def test_routing_key_that_is_no_text_is_read_all_the_same(codec):
    arguments = b"\0\0\0\0" + dumps("sLbss", ("tag", 1, False, "", b"a\xffb"))

    info = codec.read_deliver(arguments)

    assert info["routing_key"] == "a\ufffdb"


def test_names_and_routes_that_come_again_are_not_remembered_without_end(codec):
    channel = Channel()
    for number in range(2 * MOST_REMEMBERED):
        outgoing = message(key=f"key-{number}")
        channel.connection.transport.written = b""
        arguments = dumps("sLbss", (f"tag-{number}", 1, False, "x", f"key-{number}"))

        codec.write_publish(channel, outgoing)
        info = codec.read_deliver(b"\0\0\0\0" + arguments)

        assert channel.written == as_py_amqp_writes_it(outgoing)
        assert (info["consumer_tag"], info["routing_key"]) == (f"tag-{number}", f"key-{number}")
    assert max(len(by_hand._publish_frames), len(by_hand._routes)) <= MOST_REMEMBERED
