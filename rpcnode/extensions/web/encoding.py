"""Values as bytes: JSON, text, and what a stream yields."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from json.encoder import (  # type: ignore[attr-defined]  # typeshed leaves the first one out
    c_make_encoder,
    encode_basestring_ascii,
)
from typing import Any, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, str]]

# Tuples: the server knows what it has sent before.
JSON: Headers = (("Content-Type", "application/json"),)
TEXT: Headers = (("Content-Type", "text/plain; charset=utf-8"),)
BYTES: Headers = (("Content-Type", "application/octet-stream"),)
LINES: Headers = (("Content-Type", "application/x-ndjson"),)


def _as_json(value: Any) -> Any:
    """Return something that JSON has for a value that it does not have."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


# What is not ASCII is escaped, so that a lone surrogate, which a client can send, is no error.
_to_text: Callable[[Any], str] = json.JSONEncoder(
    separators=(",", ":"), allow_nan=False, default=_as_json
).encode


def _encoder() -> Callable[[Any, int], Sequence[str]] | None:
    """Return what `_to_text` makes for each value, which takes as long as to use it.

    It takes no note of where it is, and so goes round in circles, up to RecursionError.
    """
    if c_make_encoder is None:  # a Python without it
        return None
    encode: Callable[[Any, int], Sequence[str]] = c_make_encoder(
        None, _as_json, encode_basestring_ascii, None, ":", ",", False, False, False
    )
    return encode


_to_parts = _encoder()


def encode_json(value: Any) -> bytes:
    """Return `value` as JSON; TypeError or ValueError for what has no form in it."""
    if _to_parts is not None:
        try:
            return "".join(_to_parts(value, 0)).encode("ascii")
        except (TypeError, ValueError, RecursionError):
            pass
    return _to_text(value).encode("ascii")  # it says what is wrong


def encode_item(item: Any) -> tuple[Headers, bytes]:
    """Return the content type of an item of a stream, and its bytes: text, bytes, a JSON line."""
    if isinstance(item, str):
        return TEXT, item.encode("utf-8")
    if isinstance(item, (bytes, bytearray, memoryview)):
        return BYTES, bytes(item)
    return LINES, encode_json(item) + b"\n"
