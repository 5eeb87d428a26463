"""The JSON that properties are written down in, with the types that they have on the wire.

A text, true, false and null stand for themselves; every other value of a table is an object of
one member, whose name is RabbitMQ's letter for its type: `{"I": 5}`, `{"F": {...}}`.
"""

import base64
import binascii
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from rpcnode.amqp.fields import (
    FLOATS,
    NUMBERS,
    PROPERTIES,
    SHORT,
    TABLE,
    Field,
    FieldError,
    Table,
    text_of,
)


def to_json(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties as JSON has them; FieldError for what it has no form for."""
    try:
        return {name: _property_to_json(value) for name, value in properties.items()}
    except UnicodeDecodeError as exc:
        raise FieldError(f"a text that is no UTF-8: {exc}") from exc


def _property_to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return _table_to_json(value) if isinstance(value, list) else value


def _table_to_json(table: Table) -> dict[str, Any]:
    result = {key.decode(): _field_to_json(field) for key, field in table}
    if len(result) != len(table):
        raise FieldError("a table that has a key twice")
    return result


def _field_to_json(field: Field) -> Any:  # noqa: PLR0911 (one for each kind of form)
    """Return a text, true, false and null as they are, all else under the letter of its type."""
    letter, value = field.letter, field.value
    if letter == "V":
        return None
    if letter == "t" and value in (0, 1):
        return bool(value)
    if letter == "S" and (text := text_of(value)) is not None:
        return text
    if letter in "Sx":
        return {letter: base64.b64encode(value).decode()}
    if letter == "F":
        return {letter: _table_to_json(value)}
    if letter == "A":
        return {letter: [_field_to_json(each) for each in value]}
    if letter == "D":
        return {letter: format(Decimal(value[1]).scaleb(-value[0]), "f")}
    return {letter: repr(value) if letter in FLOATS else value}


def from_json(form: Any) -> dict[str, Any]:
    """Return the properties of which `to_json` made `form`; FieldError when it is no such form."""
    if not isinstance(form, dict):
        raise FieldError(f"properties are an object, not {_shown(form)}")
    kinds = dict(PROPERTIES)
    for name in form:
        if name not in kinds:
            raise FieldError(f"there is no property {name!r}")
    return {name: _property_from_json(name, kinds[name], value) for name, value in form.items()}


def _property_from_json(name: str, kind: str, value: Any) -> Any:
    if kind == TABLE:
        return _table_from_json(value)
    expected: type[Any] = str if kind == SHORT else int
    if type(value) is not expected:
        raise FieldError(f"the property {name!r} cannot be {_shown(value)}")
    return value.encode() if kind == SHORT else value


def _table_from_json(form: Any) -> Table:
    if not isinstance(form, dict):
        raise FieldError(f"a table is an object, not {_shown(form)}")
    return [(key.encode(), _field_from_json(value)) for key, value in form.items()]


def _field_from_json(form: Any) -> Field:
    if form is None:
        return Field("V", None)
    if isinstance(form, bool):
        return Field("t", int(form))
    if isinstance(form, str):
        return Field("S", form.encode())
    if not isinstance(form, dict) or len(form) != 1:
        raise FieldError(f"a value is a text, true, false, null or {{TYPE: VALUE}}: {_shown(form)}")
    ((letter, value),) = form.items()
    for letters, read in _FORMS:
        if len(letter) == 1 and letter in letters:
            return Field(letter, _read_form(letter, value, read))
    raise FieldError(f"there is no type {letter!r}")


def _read_form(letter: str, value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except (ValueError, TypeError, AttributeError, InvalidOperation, binascii.Error) as exc:
        if isinstance(exc, FieldError):
            raise
        raise FieldError(f"{_shown(value)} is no value of type {letter!r}") from exc


def _read_number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _read_decimal(value: str) -> tuple[int, int]:
    number = Decimal(value)
    places = -int(number.as_tuple().exponent)
    return places, int(number.scaleb(places))


def _read_bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


def _read_array(value: Any) -> list[Field]:
    if not isinstance(value, list):
        raise TypeError
    return list(map(_field_from_json, value))


_FORMS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("".join(NUMBERS), _read_number),
    ("fd", float),
    ("D", _read_decimal),
    ("Sx", _read_bytes),
    ("F", _table_from_json),
    ("A", _read_array),
)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
