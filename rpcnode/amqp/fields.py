"""Properties of a message with the types that they have on the wire.

What `tables` decodes is what a method wants to see: 5 is 5, whatever it was sent as. Here nothing
is lost, so that a message can be written down, changed, and sent again as it was. The layout is
that of AMQP 0-9-1, sections 4.2.5.5 and 4.2.6, with RabbitMQ's letters for the types of values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Any

SHORT, TABLE, OCTET, LONG_LONG = "s", "F", "o", "L"
# In the order of their bits, the highest first.
PROPERTIES = (
    ("content_type", SHORT),
    ("content_encoding", SHORT),
    ("headers", TABLE),
    ("delivery_mode", OCTET),
    ("priority", OCTET),
    ("correlation_id", SHORT),
    ("reply_to", SHORT),
    ("expiration", SHORT),
    ("message_id", SHORT),
    ("timestamp", LONG_LONG),
    ("type", SHORT),
    ("user_id", SHORT),
    ("app_id", SHORT),
    ("cluster_id", SHORT),
)
_HIGHEST = 0x8000
NUMBERS = {
    letter: Struct(layout)
    for letters, layout in (
        *(("b", ">b"), ("B", ">B"), ("sU", ">h"), ("u", ">H"), ("I", ">i"), ("i", ">I")),
        *(("lL", ">q"), ("T", ">Q"), ("t", ">B")),
    )
    for letter in letters
}
FLOATS = {"f": Struct(">f"), "d": Struct(">d")}
_SCALED = Struct(">Bi")
_SIZE = Struct(">I")
_FLAGS = Struct(">H")
_LONG_LONG = Struct(">Q")
DEEPEST = 64  # tables within tables


class FieldError(ValueError):
    """Raised for properties, or a form of them, that are none."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a table: the letter of its type, and the value.

    Texts and byte arrays are bytes, arrays lists of fields, tables pairs of a key (in bytes) and
    a field, decimals pairs of a number of places and an integer.
    """

    letter: str
    value: Any


Table = list[tuple[bytes, Field]]


def integer(value: int) -> Field:
    """Return a field for a whole number of at most 64 bits."""
    return Field("l", value)


def decode(encoded: bytes) -> dict[str, Any]:
    """Return the properties in the payload of a header frame behind its first 12 bytes.

    Texts are bytes, headers a table. Raises FieldError.
    """
    try:
        return _Reader(encoded).properties()
    except (IndexError, StructError, UnicodeDecodeError) as exc:
        raise FieldError(f"the properties cannot be read: {exc}") from exc


def encode(properties: dict[str, Any]) -> bytes:
    """Return what `decode` took; FieldError for a value that does not fit its type."""
    flags, parts = 0, [b""]
    bit = _HIGHEST
    try:
        for name, kind in PROPERTIES:
            if name in properties:
                flags |= bit
                parts.append(_encode_property(kind, properties[name]))
            bit >>= 1
    except (StructError, TypeError, AttributeError) as exc:
        raise FieldError(f"the property {name!r} cannot be encoded: {exc}") from exc
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def _encode_property(kind: str, value: Any) -> bytes:
    if kind == OCTET:
        return bytes((_octet(value),))
    if kind == LONG_LONG:
        return _LONG_LONG.pack(value)
    return _short(value) if kind == SHORT else _sized(_encode_table(value))


def _octet(value: int) -> int:
    if not 0 <= value <= 255:
        raise FieldError(f"{value} is no octet")
    return value


def _short(value: bytes) -> bytes:
    if len(value) > 255:
        raise FieldError("a short text has more than 255 bytes")
    return bytes((len(value),)) + value


def _sized(value: bytes) -> bytes:
    return _SIZE.pack(len(value)) + value


def _encode_table(table: Table) -> bytes:
    return b"".join(_short(key) + _encode_field(field) for key, field in table)


def _encode_field(field: Field) -> bytes:
    letter, value = field.letter, field.value
    head = letter.encode()
    if letter in NUMBERS:
        return head + NUMBERS[letter].pack(value)
    if letter in FLOATS:
        return head + FLOATS[letter].pack(value)
    if letter == "D":
        return head + _SCALED.pack(*value)
    if letter == "V":
        return head
    if letter == "F":
        value = _encode_table(value)
    elif letter == "A":
        value = b"".join(map(_encode_field, value))
    return head + _sized(value)


class _Reader:
    """Reads on from where it is; IndexError at the end of what is there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def properties(self) -> dict[str, Any]:
        """Return the properties, all that is there."""
        (flags,) = _FLAGS.unpack(self._take(2))
        properties: dict[str, Any] = {}
        bit = _HIGHEST
        for name, kind in PROPERTIES:
            if flags & bit:
                properties[name] = self._property(kind)
            bit >>= 1
        if self._at != len(self._data) or flags & (bit | bit - 1):
            raise FieldError("there is more than AMQP's properties")
        return properties

    def _property(self, kind: str) -> Any:
        if kind == OCTET:
            return self._take(1)[0]
        if kind == LONG_LONG:
            return _LONG_LONG.unpack(self._take(8))[0]
        return self._short() if kind == SHORT else self._table(0)

    def _take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise IndexError(f"{self._at - len(self._data)} bytes are missing")
        return self._data[start : self._at]

    def _short(self) -> bytes:
        return self._take(self._take(1)[0])

    def _end(self) -> int:
        (size,) = _SIZE.unpack(self._take(4))
        return int(self._at + size)

    def _long(self) -> bytes:
        return self._take(self._end() - self._at)

    def _table(self, depth: int) -> Table:
        end = self._end()
        table = []
        while self._at < end:
            table.append((self._short(), self._field(depth)))
        self._check_end(end)
        return table

    def _field(self, depth: int) -> Field:
        if depth > DEEPEST:
            raise FieldError(f"more than {DEEPEST} tables within each other")
        letter = self._take(1).decode("ascii")
        return Field(letter, self._value(letter, depth))

    def _value(self, letter: str, depth: int) -> Any:
        if letter in "Sx":
            return self._long()
        if letter in "FA":
            return self._table(depth + 1) if letter == "F" else self._array(depth + 1)
        if letter == "V":
            return None
        layout = NUMBERS.get(letter) or FLOATS.get(letter)
        if layout is not None:
            return layout.unpack(self._take(layout.size))[0]
        if letter == "D":
            return _SCALED.unpack(self._take(_SCALED.size))
        raise FieldError(f"there is no type {letter!r}")

    def _array(self, depth: int) -> list[Field]:
        end = self._end()
        fields = []
        while self._at < end:
            fields.append(self._field(depth))
        self._check_end(end)
        return fields

    def _check_end(self, end: int) -> None:
        if self._at != end:
            raise FieldError("a value goes on behind the table that it is in")


def texts(table: Table) -> Iterator[tuple[str, Field]]:
    """Yield the fields of a table whose keys are texts, each with its key."""
    for key, field in table:
        if (name := text_of(key)) is not None:
            yield name, field


def text_of(value: bytes) -> str | None:
    """Return the text in UTF-8 that `value` is; None when it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
