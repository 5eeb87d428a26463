"""The hot AMQP methods: publish, ack and deliver.

This is the one place where they are encoded and decoded. py-amqp's `basic_publish` would read
from the socket in the publisher's green thread, and its encoder takes three times as long.
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

METHOD_FRAME, HEADER_FRAME, BODY_FRAME = 1, 2, 3
FRAME_END = 0xCE
FRAME_OVERHEAD = 8  # bytes of a frame beside its payload
LONGEST_EXPIRATION = 315_360_000_000  # ms, ten years; RabbitMQ closes the channel for more
ENCODING_ERRORS = (
    *(FrameSyntaxError, StructError, ValueError, TypeError, ArithmeticError),
    RecursionError,  # of what is nested too deep
)
_PROPERTY_TYPES = dict(amqp.Message.PROPERTIES)
_FRAME_END = bytes([FRAME_END])
# Each begins with the end of the frame before, but for the first one of a message.
_pack_method_head = Struct(">BHIHH").pack
_pack_header_head = Struct(">BBHIHHQ").pack
_pack_body_head = Struct(">BBHI").pack
_pack_ack = Struct(">BHIHHQBB").pack  # frame head, method, delivery tag, bits, frame end
_tag_and_bits = Struct(">QB").unpack_from


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
        frames = _publish_frames(channel.channel_id, connection.frame_max, message)
    except ENCODING_ERRORS as exc:
        raise encoding_error(message, exc) from exc
    connection.transport.write(frames)
    connection.bytes_sent += 1  # heartbeats are sent when nothing else is


def _publish_frames(channel_id: int, frame_max: int, message: Outgoing) -> bytes:
    # One string for the whole message: what several green threads write can never interleave.
    arguments, properties = _publish_arguments(message), _encoded_properties(message, frame_max)
    body = message.body
    parts = [
        _pack_method_head(METHOD_FRAME, channel_id, 4 + len(arguments), *spec.Basic.Publish),
        arguments,
        _pack_header_head(
            *(FRAME_END, HEADER_FRAME, channel_id, 12 + len(properties)),
            *(spec.Basic.CLASS_ID, 0, len(body)),
        ),
        properties,
    ]
    largest = frame_max - FRAME_OVERHEAD
    for start in range(0, len(body), largest):
        chunk = body[start : start + largest]
        parts += _pack_body_head(FRAME_END, BODY_FRAME, channel_id, len(chunk)), chunk
    parts.append(_FRAME_END)
    return b"".join(parts)


def _encoded_properties(message: Outgoing, frame_max: int) -> bytes:
    properties = message.properties
    if message.headers:
        properties = {**properties, "application_headers": message.headers}
    encoded = encode_properties(properties)
    largest = frame_max - FRAME_OVERHEAD - 12  # class, weight and body size come before
    if len(encoded) > largest:
        raise UnserializableHeader(
            f"the headers take {len(encoded)} bytes, more than the {largest} of a frame"
        )
    return encoded


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
    return _pack_ack(METHOD_FRAME, channel_id, 13, *spec.Basic.Ack, tag, multiple, FRAME_END)


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
