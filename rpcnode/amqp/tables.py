"""Field tables by hand: the headers of a message.

The layout is that of AMQP 0-9-1, section 4.2.5.5, with RabbitMQ's letters for the types of
values. What is out of the ordinary raises `UnusualError`, or whatever comes first; then
py-amqp's own way decides, so that the outcome is the same; the tests compare both.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import Any

MOST_REMEMBERED = 1024  # texts; the next one makes room for all
TEXT, INTEGER, LARGE_INTEGER = ord("S"), ord("I"), ord("L")

_long = Struct(">I").unpack_from
_signed_long = Struct(">i").unpack_from
_signed_long_long = Struct(">q").unpack_from
_scaled = Struct(">Bi").unpack_from
_timestamp = Struct(">Q").unpack_from
_pack_long = Struct(">I").pack
_pack_head = Struct(">cI").pack
_pack_integer = Struct(">ci").pack
_pack_large_integer = Struct(">cq").pack
_pack_double = Struct(">cd").pack


class UnusualError(Exception):
    """Raised when something takes py-amqp's way."""


class EncodedTexts(dict[Any, bytes]):
    """Short texts with their length before them; those that come again are looked up.

    A lookup that hits is one operation of the interpreter, without a call: it takes a fifth of
    the encoding. What differs from message to message is not worth remembering.
    """

    def __missing__(self, text: Any) -> bytes:
        encoded = short_text(text)
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        self[text] = encoded
        return encoded


ENCODED = EncodedTexts()  # a cache and nothing else, shared by all connections
LENGTHS = [bytes([length]) for length in range(256)]  # of short texts, as bytes
_TEXT_HEADS = [_pack_head(b"S", length) for length in range(256)]


def short_text(text: Any) -> bytes:
    """Return a text of at most 255 bytes, its length before it."""
    if type(text) is not str:
        raise UnusualError
    data = text.encode()
    if len(data) > 255:
        raise UnusualError
    return LENGTHS[len(data)] + data


def encode_table(table: Any) -> bytes:
    """Return a table with its size before it."""
    if type(table) is not dict:
        raise UnusualError
    parts: list[bytes] = []
    for name, value in table.items():
        parts.append(ENCODED[name])
        # By exact type: a subclass may look like something else to py-amqp.
        write = _WRITERS.get(type(value))
        if write is None:
            raise UnusualError
        parts.append(write(value))
    data = b"".join(parts)
    return _pack_long(len(data)) + data


def _write_text(value: str) -> bytes:
    data = value.encode()
    size = len(data)
    return (_TEXT_HEADS[size] if size < 256 else _pack_head(b"S", size)) + data


def _write_integer(value: int) -> bytes:
    # Four bytes for what py-amqp writes in four bytes.
    if -2147483648 < value < 2147483648:
        return _pack_integer(b"I", value)
    return _pack_large_integer(b"L", value)


def _write_array(values: list[Any]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        write = _WRITERS.get(type(value))
        if write is None:
            raise UnusualError
        parts.append(write(value))
    data = b"".join(parts)
    return _pack_head(b"A", len(data)) + data


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: _write_text,
    int: _write_integer,
    list: _write_array,
    float: lambda value: _pack_double(b"d", value),
    bool: lambda value: b"t\1" if value else b"t\0",
    type(None): lambda _value: b"V",
    dict: lambda value: b"F" + encode_table(value),
}


def decode_table(data: bytes, offset: int) -> tuple[dict[Any, Any], int]:
    """Return the table at `offset`, and where it ends."""
    (size,) = _long(data, offset)
    offset += 4
    limit = offset + size
    table: dict[Any, Any] = {}
    while offset < limit:
        start = offset + 1
        end = start + data[offset]
        name = data[start:end].decode()
        kind = data[end]
        offset = end + 1
        # What most values are is decoded here: a call takes as long as the decoding.
        if kind == TEXT:
            (size,) = _long(data, offset)
            start = offset + 4
            offset = start + size
            table[name] = data[start:offset].decode()
        elif kind == INTEGER:
            (table[name],) = _signed_long(data, offset)
            offset += 4
        elif kind == LARGE_INTEGER:
            (table[name],) = _signed_long_long(data, offset)
            offset += 8
        else:
            table[name], offset = _READERS[kind](data, offset)
    return table, offset


def _read_array(data: bytes, offset: int) -> tuple[list[Any], int]:
    (size,) = _long(data, offset)
    offset += 4
    limit = offset + size
    values: list[Any] = []
    while offset < limit:
        kind = data[offset]
        offset += 1
        if kind == TEXT:
            (size,) = _long(data, offset)
            start = offset + 4
            offset = start + size
            values.append(data[start:offset].decode())
        else:
            value, offset = _READERS[kind](data, offset)
            values.append(value)
    return values, offset


def _read_text(data: bytes, offset: int) -> tuple[str, int]:
    value, offset = _read_bytes(data, offset)
    return value.decode(), offset


def _read_bytes(data: bytes, offset: int) -> tuple[bytes, int]:
    (size,) = _long(data, offset)
    start = offset + 4
    end = start + size
    return data[start:end], end


def _read_decimal(data: bytes, offset: int) -> tuple[Decimal, int]:
    places, digits = _scaled(data, offset)
    return Decimal(digits) / Decimal(10**places), offset + 5


def _read_timestamp(data: bytes, offset: int) -> tuple[datetime, int]:
    (seconds,) = _timestamp(data, offset)
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None), offset + 8


def _fixed(layout: str) -> Callable[[bytes, int], tuple[Any, int]]:
    """Return the reader of a number."""
    number = Struct(layout)
    unpack, size = number.unpack_from, number.size

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        return unpack(data, offset)[0], offset + size

    return read


_Reader = Callable[[bytes, int], tuple[Any, int]]
_READERS: dict[int, _Reader] = {
    TEXT: _read_text,
    ord("F"): decode_table,
    ord("A"): _read_array,
    ord("x"): _read_bytes,
    ord("D"): _read_decimal,
    ord("T"): _read_timestamp,
    ord("t"): lambda data, offset: (data[offset] != 0, offset + 1),
    ord("V"): lambda _data, offset: (None, offset),
    **{
        ord(kind): _fixed(layout)
        for kinds, layout in (
            *(("b", ">b"), ("B", ">B"), ("sU", ">h"), ("u", ">H"), ("I", ">i"), ("i", ">I")),
            *(("lL", ">q"), ("f", ">f"), ("d", ">d")),
        )
        for kind in kinds
    },
}
