"""What commands print of values and texts that came from elsewhere."""

import base64
import json
import logging
import math
import sys
from collections.abc import Mapping
from datetime import date, time
from typing import Any


def printable(text: str) -> str:
    """Return `text` without control characters: it came from elsewhere, and may steer terminals."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text
    )


def one_line(error: BaseException) -> str:
    """Return class, text and notes of an error, on one line whatever is in them."""
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    text = printable(f"{type(error).__name__}: {error}{notes}")
    return text.replace("\n", "\\n").replace("\t", "\\t")


def in_one_line(record: logging.LogRecord) -> bool:
    """Put the error of a log record in the place of its traceback; a filter that lets all pass."""
    error = record.exc_info and record.exc_info[1]
    if error:
        record.msg, record.args = "%s: %s", (record.getMessage(), one_line(error))
        record.exc_info = None
    return True


def to_json(value: Any) -> str:
    """Return JSON that anybody can read, also for a value that JSON has no form for.

    Dates and times become their ISO text, bytes the text they hold or else base64, numbers that
    are none ("NaN", "Infinity") and all that is left (decimals, UUIDs) their text. Characters
    that a terminal would obey, or cannot show, are escaped.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "ascii", "surrogatepass")
    except UnicodeEncodeError:  # a narrow terminal
        return json.dumps(_plain(value), allow_nan=False)
    # JSON itself is ASCII, so what is odd stands within a text of it.
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _name_of(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    return _text_of(value)


def _key(value: Any) -> Any:
    return value if isinstance(value, (str, bool, int, type(None))) else str(_plain(value))


def _name_of(value: float) -> str:
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return names.get(value, "NaN")


def _text_of(value: Any) -> str:
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _text_in(bytes(value))
    return str(value)


def _text_in(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
