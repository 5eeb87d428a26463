"""AMQP's basic properties by hand: what costs most about a message, both ways.

The layout is that of AMQP 0-9-1, section 4.2.6 (content) and the class "basic": 16 bits that say
which properties are there, then these in order. Whatever is out of the ordinary takes py-amqp's
own way, so that the outcome is the same in either case; the tests compare both.

Both functions are one straight line: a call or a loop for each property takes as long as the
property itself.
"""

from struct import Struct
from typing import Any

from rpcnode.amqp import stock
from rpcnode.amqp.tables import (
    ENCODED,
    LENGTHS,
    EncodedTexts,
    UnusualError,
    decode_table,
    encode_table,
)
from rpcnode.amqp.unencodable import check_expiration

CONTENT_TYPE, CONTENT_ENCODING, HEADERS, DELIVERY_MODE = 0x8000, 0x4000, 0x2000, 0x1000
PRIORITY, CORRELATION_ID, REPLY_TO, EXPIRATION = 0x0800, 0x0400, 0x0200, 0x0100
MESSAGE_ID, TIMESTAMP, TYPE, USER_ID, APP_ID, CLUSTER_ID = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
_AFTER_TIMESTAMP = 0x3F
_CLASS = 60  # "basic"
_pack_flags = Struct(">H").pack
_pack_octet = Struct(">B").pack
_pack_timestamp = Struct(">Q").pack
_timestamp = Struct(">Q").unpack_from
_class_and_flags = Struct(">H10xH").unpack_from


class _Expirations(EncodedTexts):
    """Expirations that RabbitMQ takes, by their texts: what comes again is checked once."""

    def __missing__(self, value: Any) -> bytes:
        check_expiration(value)
        return super().__missing__(value)


_EXPIRATIONS = _Expirations()  # a cache, as those of `tables` are


def encode_properties(properties: dict[str, Any], headers: dict[str, Any]) -> bytes:
    """Return the flags of the basic properties and the properties, the headers among them.

    Raises what py-amqp raises for a value that cannot be encoded, and ValueError for an
    expiration that RabbitMQ would not take.
    """
    try:
        return _encode(properties, headers)
    except Exception:  # whatever it is, py-amqp has the last word
        return stock.encode_properties(properties, headers)


def _encode(  # noqa: C901, PLR0912, PLR0915 (one straight line: see above)
    properties: dict[str, Any], headers: dict[str, Any]
) -> bytes:
    get = properties.get
    flags = 0
    parts = [b""]  # for the flags
    add = parts.append
    if (value := get("content_type")) is not None:
        flags |= CONTENT_TYPE
        add(ENCODED[value])
    if (value := get("content_encoding")) is not None:
        flags |= CONTENT_ENCODING
        add(ENCODED[value])
    if headers:
        flags |= HEADERS
        add(encode_table(headers))
    if (value := get("delivery_mode")) is not None:
        flags |= DELIVERY_MODE
        add(_pack_octet(value))
    if (value := get("priority")) is not None:
        flags |= PRIORITY
        add(_pack_octet(value))
    # What differs from message to message is not worth remembering.
    if (value := get("correlation_id")) is not None:
        flags |= CORRELATION_ID
        data = value.encode()
        add(LENGTHS[len(data)])
        add(data)
    if (value := get("reply_to")) is not None:
        flags |= REPLY_TO
        add(ENCODED[value])
    if (value := get("expiration")) is not None:
        flags |= EXPIRATION
        add(_EXPIRATIONS[value])
    if (value := get("message_id")) is not None:
        flags |= MESSAGE_ID
        data = value.encode()
        add(LENGTHS[len(data)])
        add(data)
    if (value := get("timestamp")) is not None:
        flags |= TIMESTAMP
        add(_pack_timestamp(value))
    if (value := get("type")) is not None:
        flags |= TYPE
        add(ENCODED[value])
    if (value := get("user_id")) is not None:
        flags |= USER_ID
        add(ENCODED[value])
    if (value := get("app_id")) is not None:
        flags |= APP_ID
        add(ENCODED[value])
    if (value := get("cluster_id")) is not None:
        flags |= CLUSTER_ID
        add(ENCODED[value])
    parts[0] = _pack_flags(flags)
    return b"".join(parts)


def decode_properties(header: bytes) -> dict[str, Any]:
    """Return the properties in the payload of a header frame.

    Raises what py-amqp raises for those that cannot be decoded.
    """
    try:
        return _decode(header)
    except Exception:  # whatever it is, py-amqp has the last word
        return stock.decode_properties(header)


def _decode(header: bytes) -> dict[str, Any]:  # noqa: C901, PLR0912, PLR0915 (see above)
    class_id, flags = _class_and_flags(header)
    if class_id != _CLASS:
        raise UnusualError
    properties: dict[str, Any] = {}
    end = 14  # behind class, weight, the size of the body, and the flags
    if flags & CONTENT_TYPE:
        start = end + 1
        end = start + header[end]
        properties["content_type"] = header[start:end].decode()
    if flags & CONTENT_ENCODING:
        start = end + 1
        end = start + header[end]
        properties["content_encoding"] = header[start:end].decode()
    if flags & HEADERS:
        properties["application_headers"], end = decode_table(header, end)
    if flags & DELIVERY_MODE:
        properties["delivery_mode"] = header[end]
        end += 1
    if flags & PRIORITY:
        properties["priority"] = header[end]
        end += 1
    if flags & CORRELATION_ID:
        start = end + 1
        end = start + header[end]
        properties["correlation_id"] = header[start:end].decode()
    if flags & REPLY_TO:
        start = end + 1
        end = start + header[end]
        properties["reply_to"] = header[start:end].decode()
    if flags & EXPIRATION:
        start = end + 1
        end = start + header[end]
        properties["expiration"] = header[start:end].decode()
    if flags & MESSAGE_ID:
        start = end + 1
        end = start + header[end]
        properties["message_id"] = header[start:end].decode()
    if flags & TIMESTAMP:
        (properties["timestamp"],) = _timestamp(header, end)
        end += 8
    if flags & _AFTER_TIMESTAMP:
        if flags & TYPE:
            start = end + 1
            end = start + header[end]
            properties["type"] = header[start:end].decode()
        if flags & USER_ID:
            start = end + 1
            end = start + header[end]
            properties["user_id"] = header[start:end].decode()
        if flags & APP_ID:
            start = end + 1
            end = start + header[end]
            properties["app_id"] = header[start:end].decode()
        if flags & CLUSTER_ID:
            start = end + 1
            end = start + header[end]
            properties["cluster_id"] = header[start:end].decode()
    return properties
