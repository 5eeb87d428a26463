"""The hot AMQP methods: publish, ack and deliver.

This is the one place where they are encoded and decoded. Properties take py-amqp's way here;
`basic_publish` does not, because it reads from the socket in the publisher's green thread.
"""

from struct import Struct
from struct import error as StructError
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import FrameSyntaxError, RecoverableConnectionError
from amqp.serialization import dumps

from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.properties import encode_properties
from rpcnode.exceptions import PublishRejected, RpcNodeError, UnserializableHeader

METHOD_FRAME = 1
LONGEST_EXPIRATION = 4_294_967_295  # milliseconds; RabbitMQ closes the channel for more
ENCODING_ERRORS = (FrameSyntaxError, StructError, ValueError, TypeError, ArithmeticError)
_HEADER_FRAME_OVERHEAD = 8 + 12  # frame head and end; class, weight and body size
_PROPERTY_TYPES = dict(amqp.Message.PROPERTIES)
_pack_ack = Struct(">BHIHHQBB").pack  # frame head, method, delivery tag, bits, frame end
_tag_and_bits = Struct(">QB").unpack_from


class _Content(amqp.Message):  # type: ignore[misc]  # py-amqp is untyped
    """What is published; it refuses properties that would not fit into their frame."""

    def __init__(self, message: Outgoing, largest: int) -> None:
        super().__init__(message.body)
        self.properties = message.properties
        if message.headers:
            self.properties = {**message.properties, "application_headers": message.headers}
        self.largest = largest

    def _serialize_properties(self) -> bytes:
        encoded = encode_properties(self.properties)
        if len(encoded) > self.largest:
            raise UnserializableHeader(
                f"the headers take {len(encoded)} bytes, more than the {self.largest} of a frame"
            )
        return encoded


class ReceivedContent(amqp.Message):  # type: ignore[misc]  # py-amqp is untyped
    """What is delivered; properties that cannot be decoded are a problem of this message only.

    `problem` is the error then, and there are no properties.
    """

    problem: Exception | None = None

    def __init__(self, method: tuple[int, int], arguments: bytes) -> None:
        super().__init__(b"")
        self.properties: dict[str, Any]
        self.frame_method = method
        self.frame_args = arguments

    def _load_properties(self, class_id: int, data: bytes, offset: int) -> Any:
        try:
            return super()._load_properties(class_id, data, offset)
        except Exception as exc:  # whatever a stranger has sent, the reader must go on
            self.problem = exc
            self.properties = {}
            return offset


def write_publish(channel: Any, message: Outgoing) -> None:
    """Append a whole publish to what the connection sends next.

    Raises UnserializableHeader or PublishRejected, before anything was written, when a header
    or a property cannot be encoded.
    """
    connection = channel.connection
    if connection is None:
        raise RecoverableConnectionError("the channel is closed")
    try:
        _check_expiration(message.properties.get("expiration"))
        arguments = _publish_arguments(message)
        content = _Content(message, connection.frame_max - _HEADER_FRAME_OVERHEAD)
        connection.frame_writer(
            METHOD_FRAME, channel.channel_id, spec.Basic.Publish, arguments, content
        )
    except ENCODING_ERRORS as exc:
        raise encoding_error(message, exc) from exc


def _publish_arguments(message: Outgoing) -> bytes:
    exchange = message.exchange.encode("utf-8", "surrogatepass")
    key = message.routing_key.encode("utf-8", "surrogatepass")
    return b"\0\0%c%b%c%b%c" % (len(exchange), exchange, len(key), key, message.mandatory)


def _check_expiration(value: Any) -> None:
    if value is None:
        return
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal()
    if not is_number or int(value) > LONGEST_EXPIRATION:
        raise ValueError(f"the expiration {value!r} is not a number of milliseconds")


def encoding_error(message: Outgoing, cause: Exception) -> RpcNodeError:
    """Return the error for a message that cannot be encoded; it names the culprit."""
    for key, value in message.headers.items():
        problem = _problem("F", {key: value})
        if problem is not None:
            return UnserializableHeader(f"the header {key!r} cannot be encoded: {problem}")
    for name, value in message.properties.items():
        problem = _problem(_PROPERTY_TYPES.get(name, "F"), value)
        if problem is not None:
            return PublishRejected(f"the property {name!r} cannot be encoded: {problem}")
    return PublishRejected(
        f"a message for exchange {message.exchange!r}, routing key {message.routing_key!r} "
        f"cannot be encoded: {cause}"
    )


def _problem(kind: str, value: Any) -> Exception | None:
    try:
        dumps(kind, [value])
    except ENCODING_ERRORS as exc:
        return exc
    return None


def write_ack(channel: Any, tag: int, multiple: bool = False) -> None:
    """Append an ack, of one delivery or of all up to it."""
    connection = channel.connection
    if connection is None:
        raise RecoverableConnectionError("the channel is closed")
    connection.transport.write(_ack_frame(channel.channel_id, tag, multiple))
    connection.bytes_sent += 1  # heartbeats are sent when nothing else is


def _ack_frame(channel_id: int, tag: int, multiple: bool) -> bytes:
    return _pack_ack(METHOD_FRAME, channel_id, 13, *spec.Basic.Ack, tag, multiple, 0xCE)


def read_deliver(arguments: bytes) -> tuple[str, dict[str, Any]]:
    """Return the consumer tag and what kombu calls delivery info, from a Basic.Deliver."""
    consumer_tag, offset = _read_text(arguments, 4)  # behind the method's number
    tag, redelivered = _tag_and_bits(arguments, offset)
    exchange, offset = _read_text(arguments, offset + 9)
    routing_key, _ = _read_text(arguments, offset)
    info = {
        "consumer_tag": consumer_tag,
        "delivery_tag": tag,
        "redelivered": bool(redelivered & 1),
        "exchange": exchange,
        "routing_key": routing_key,
    }
    return consumer_tag, info


def read_ack(arguments: bytes) -> tuple[int, bool]:
    """Return the tag of a confirm, and whether it stands for all up to it."""
    tag, multiple = _tag_and_bits(arguments, 4)  # behind the method's number
    return tag, bool(multiple & 1)


def _read_text(data: bytes, offset: int) -> tuple[str, int]:
    start = offset + 1
    end = start + data[offset]
    try:
        return data[start:end].decode(), end
    except UnicodeDecodeError:  # brokers let anything pass
        return data[start:end].decode(errors="replace"), end
