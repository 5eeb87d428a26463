"""The hot AMQP methods by hand: publish and ack are encoded, deliver is decoded.

py-amqp's `basic_publish` would read from the socket in the publisher's green thread, and its
code takes five times as long to publish and twice as long to deliver: `benchmarks.micro.codec`
measures both. `rpcnode.amqp.stock` has the same functions in py-amqp's way; everything else is
py-amqp's in any case.
"""

from struct import Struct
from struct import error as StructError
from typing import Any

from amqp import spec
from amqp.exceptions import RecoverableConnectionError

from rpcnode.amqp.content import Content, make_content
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.properties import decode_properties, encode_properties
from rpcnode.amqp.tables import MOST_REMEMBERED
from rpcnode.amqp.unencodable import ENCODING_ERRORS, check_size, encoding_error

METHOD_FRAME, HEADER_FRAME, BODY_FRAME = 1, 2, 3
FRAME_END = 0xCE
FRAME_OVERHEAD = 8  # bytes of a frame beside its payload
_FRAME_END = bytes([FRAME_END])
_pack_method_head = Struct(">BHIHH").pack
_pack_header_head = Struct(">BHIIQ").pack
_pack_body_head = Struct(">BBHI").pack  # begins with the end of the frame before
_pack_ack = Struct(">BHIHHQBB").pack  # frame head, method, delivery tag, bits, frame end
_tag_and_bits = Struct(">QB").unpack_from
# The end of the frame before, kind and channel are one number: one comparison checks them all.
_header_head = Struct(">IIIQ").unpack_from
_body_head = Struct(">II").unpack_from
_HEADER_MARK = FRAME_END << 24 | HEADER_FRAME << 16
_BODY_MARK = FRAME_END << 24 | BODY_FRAME << 16
_CLASS_AND_WEIGHT = spec.Basic.CLASS_ID << 16


class _PublishFrames(dict[tuple[int, str, str, bool], bytes]):
    """The method frame of a publish by its channel, exchange, routing key and "mandatory".

    Most messages go where others went before, and a lookup takes a tenth of the encoding. It is
    bounded, as all that is remembered here: peers may be hostile.
    """

    def __missing__(self, key: tuple[int, str, str, bool]) -> bytes:
        channel_id, exchange, routing_key, mandatory = key
        name = exchange.encode("utf-8", "surrogatepass")
        text = routing_key.encode("utf-8", "surrogatepass")
        arguments = b"\0\0%c%b%c%b%c" % (len(name), name, len(text), text, mandatory)
        head = _pack_method_head(METHOD_FRAME, channel_id, 4 + len(arguments), *spec.Basic.Publish)
        frame = head + arguments + _FRAME_END
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[key] = frame
        return frame


class _Routes(dict[bytes, tuple[str, str]]):
    """Exchange and routing key of a delivery by their bytes.

    A lookup takes a fifth of the decoding of both. For a single text it would take as long.
    """

    def __missing__(self, data: bytes) -> tuple[str, str]:
        exchange, offset = _read_text(data, 0)
        route = exchange, _read_text(data, offset)[0]
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[data] = route
        return route


# These are caches and nothing else, shared by all connections.
_publish_frames = _PublishFrames()
_routes = _Routes()


def write_publish(channel: Any, message: Outgoing) -> None:
    """Append a whole publish to what the connection sends next.

    Raises UnserializableHeader or PublishRejected, before anything was written, when a header
    or a property cannot be encoded.
    """
    connection = channel.connection
    if connection is None:
        raise RecoverableConnectionError("the channel is closed")
    try:
        frames = _frames(channel.channel_id, connection.frame_max, message)
    except ENCODING_ERRORS as exc:
        raise encoding_error(message, exc) from exc
    connection.transport.write(frames)
    connection.bytes_sent += 1  # heartbeats are sent when nothing else is


def _frames(channel_id: int, frame_max: int, message: Outgoing) -> bytes:
    # One string for the whole message: what several green threads write can never interleave.
    properties, body = encode_properties(message.properties, message.headers), message.body
    largest = frame_max - FRAME_OVERHEAD
    if len(properties) + 12 > largest:
        check_size(properties, frame_max)
    size = len(body)
    parts = [
        _publish_frames[channel_id, message.exchange, message.routing_key, message.mandatory],
        _pack_header_head(HEADER_FRAME, channel_id, 12 + len(properties), _CLASS_AND_WEIGHT, size),
        properties,
    ]
    if 0 < size <= largest:  # most bodies: a loop over one chunk takes longer than the rest
        parts += _pack_body_head(FRAME_END, BODY_FRAME, channel_id, size), body, _FRAME_END
        return b"".join(parts)
    for start in range(0, size, largest):
        chunk = body[start : start + largest]
        parts += _pack_body_head(FRAME_END, BODY_FRAME, channel_id, len(chunk)), chunk
    parts.append(_FRAME_END)
    return b"".join(parts)


def write_ack(channel: Any, tag: int, multiple: bool = False) -> None:
    """Append an ack, of one delivery or of all up to it."""
    connection = channel.connection
    if connection is None:
        raise RecoverableConnectionError("the channel is closed")
    connection.transport.write(_ack_frame(channel.channel_id, tag, multiple))
    connection.bytes_sent += 1  # heartbeats are sent when nothing else is


def _ack_frame(channel_id: int, tag: int, multiple: bool) -> bytes:
    return _pack_ack(METHOD_FRAME, channel_id, 13, *spec.Basic.Ack, tag, multiple, FRAME_END)


def read_delivery(data: bytes, channel_id: int, start: int, end: int) -> tuple[Content, int] | None:
    """Return a delivery with its content, and where it ends.

    The arguments of the Basic.Deliver lie between `start` and `end` of `data`. Returns None
    when its content is not there as a whole, in one body frame or none. Most deliveries are, and
    to read the three frames at once saves their assembly: a quarter of all that a delivery costs.
    """
    try:
        mark, header_size, class_and_weight, size = _header_head(data, end)
        header_end = end + FRAME_OVERHEAD + header_size
        if mark != _HEADER_MARK | channel_id or class_and_weight != _CLASS_AND_WEIGHT:
            return None
        if size:
            mark, body_size = _body_head(data, header_end)
            body_start = header_end + FRAME_OVERHEAD
            body_end = body_start + body_size
            if mark != _BODY_MARK | channel_id or body_size != size:
                return None
            body = data[body_start:body_end]
        else:
            body_end, body = header_end, b""
        if data[body_end] != FRAME_END:
            return None
        info = _delivery_info(data, start, end)
    except (StructError, IndexError, UnicodeDecodeError):
        return None
    header = data[end + FRAME_OVERHEAD : header_end]
    return make_content(decode_properties, header, body, info), body_end + 1


def _delivery_info(data: bytes, start: int, end: int) -> dict[str, Any]:
    tag_end = start + 1 + data[start]
    tag, bits = _tag_and_bits(data, tag_end)
    exchange, routing_key = _routes[data[tag_end + 9 : end]]
    return {
        "consumer_tag": data[start + 1 : tag_end].decode(),
        "delivery_tag": tag,
        "redelivered": bits & 1 == 1,
        "exchange": exchange,
        "routing_key": routing_key,
    }


def read_deliver(arguments: bytes) -> dict[str, Any]:
    """Return what kombu calls delivery info, from a Basic.Deliver."""
    return _delivery_info(arguments, 4, len(arguments))  # behind the method's number


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
