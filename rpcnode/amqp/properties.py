"""Encoding AMQP's basic properties by hand: what costs most about a publish.

The layout is that of AMQP 0-9-1, section 4.2.6 (content) and the class "basic": 16 bits that say
which properties are there, then these in order. Whatever is out of the ordinary takes py-amqp's
own way, so that the bytes are the same in either case; the tests compare both. Decoding is left
to py-amqp: by hand it is not faster.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

from amqp.serialization import dumps

CONTENT_TYPE, CONTENT_ENCODING, HEADERS, DELIVERY_MODE = 0x8000, 0x4000, 0x2000, 0x1000
PRIORITY, CORRELATION_ID, REPLY_TO, EXPIRATION = 0x0800, 0x0400, 0x0200, 0x0100
MESSAGE_ID, TIMESTAMP, TYPE, USER_ID, APP_ID, CLUSTER_ID = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
MOST_REMEMBERED = 1024  # texts; the next one makes room for all
_flags = Struct(">H").pack
_long = Struct(">I").pack
_octet = Struct(">B").pack
_timestamp = Struct(">Q").pack
_head = Struct(">cI").pack
_integer = Struct(">ci").pack
_large_integer = Struct(">cq").pack
_double = Struct(">cd").pack
_INTEGERS = range(-2147483647, 2147483648)  # what py-amqp writes in four bytes


class _UnusualError(Exception):
    """Raised when something takes py-amqp's way."""


def encode_properties(properties: dict[str, Any]) -> bytes:
    """Return the property flags and the properties, `application_headers` among them.

    Raises what py-amqp raises for a value that cannot be encoded.
    """
    try:
        return _encode(properties)
    except _UnusualError:
        return _encode_slowly(properties)


class _Texts:
    """Short texts with their length before them; those that come again are looked up."""

    def __init__(self) -> None:
        self._encoded: dict[str, bytes] = {}

    def __call__(self, text: str) -> bytes:
        encoded = self._encoded.get(text)
        if encoded is None:
            encoded = _short_text(text)
            if len(self._encoded) >= MOST_REMEMBERED:
                self._encoded.clear()
            self._encoded[text] = encoded
        return encoded


def _short_text(text: str) -> bytes:
    if type(text) is not str:
        raise _UnusualError
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > 255:
        raise _UnusualError
    return b"%c%b" % (len(data), data)


_repeated = _Texts()  # a cache, and nothing else, is shared by all connections


def _encode(properties: dict[str, Any]) -> bytes:
    flags = 0
    parts = [b""]  # for the flags
    for name, flag, encode in _FIELDS:
        value = properties.get(name)
        if value is not None:
            flags |= flag
            parts.append(encode(value))
    parts[0] = _flags(flags)
    return b"".join(parts)


def _small_number(value: Any, largest: int, pack: Callable[[int], bytes]) -> bytes:
    if type(value) is not int or not 0 <= value <= largest:
        raise _UnusualError
    return pack(value)


def _table(table: Any) -> bytes:
    if type(table) is not dict:
        raise _UnusualError
    parts = [part for key, value in table.items() for part in (_repeated(key), _item(value))]
    data = b"".join(parts)
    return _long(len(data)) + data


def _item(value: Any) -> bytes:
    encode = _ITEM_WRITERS.get(type(value))
    if encode is None:
        raise _UnusualError
    return encode(value)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return _head(b"S", len(data)) + data


def _number(value: int) -> bytes:
    return _integer(b"I", value) if value in _INTEGERS else _large_integer(b"L", value)


def _array(value: list[Any]) -> bytes:
    data = b"".join([_item(each) for each in value])
    return _head(b"A", len(data)) + data


# By exact type: a subclass may look like something else to py-amqp.
_ITEM_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: _text,
    int: _number,
    list: _array,
    float: lambda value: _double(b"d", value),
    bool: lambda value: b"t\1" if value else b"t\0",
    type(None): lambda _value: b"V",
    dict: lambda value: b"F" + _table(value),
}


# In AMQP's order. What differs from message to message is not worth remembering.
_FIELDS: tuple[tuple[str, int, Callable[[Any], bytes]], ...] = (
    ("content_type", CONTENT_TYPE, _repeated),
    ("content_encoding", CONTENT_ENCODING, _repeated),
    ("application_headers", HEADERS, _table),
    ("delivery_mode", DELIVERY_MODE, lambda value: _small_number(value, 255, _octet)),
    ("priority", PRIORITY, lambda value: _small_number(value, 255, _octet)),
    ("correlation_id", CORRELATION_ID, _short_text),
    ("reply_to", REPLY_TO, _short_text),
    ("expiration", EXPIRATION, _short_text),
    ("message_id", MESSAGE_ID, _short_text),
    ("timestamp", TIMESTAMP, lambda value: _small_number(value, 2**64 - 1, _timestamp)),
    ("type", TYPE, _repeated),
    ("user_id", USER_ID, _repeated),
    ("app_id", APP_ID, _repeated),
    ("cluster_id", CLUSTER_ID, _repeated),
)


def _encode_slowly(properties: dict[str, Any]) -> bytes:
    found = [(flag, name) for name, flag, _encode in _FIELDS if properties.get(name) is not None]
    kinds = "".join(_KINDS[name] for _flag, name in found)
    values = [properties[name] for _flag, name in found]
    encoded: bytes = dumps(kinds, values)
    return _flags(sum(flag for flag, _name in found)) + encoded


# The letters that py-amqp knows the types by, where it is not "s", a short text.
_KINDS = {name: "s" for name, _flag, _encode in _FIELDS} | {
    "application_headers": "F",
    "delivery_mode": "o",
    "priority": "o",
    "timestamp": "L",
}
