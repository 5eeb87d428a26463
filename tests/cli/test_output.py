"""What commands print."""

import io
import json
import logging
import math
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from rpcnode.cli.output import in_one_line, one_line, printable, to_json


def test_json_is_as_python_writes_it():
    value = {"a": [1, 2.5, None, True, "ä"], "b": {}}

    assert to_json(value) == json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1.50"), "1.50"),
        (Decimal("NaN"), "NaN"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (date(2024, 2, 29), "2024-02-29"),
        (time(8, 30), "08:30:00"),
        (datetime(2024, 2, 29, 8, 30, tzinfo=UTC), "2024-02-29T08:30:00+00:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\x00", "/wA="),
    ],
)
def test_what_json_lacks_is_a_text_at_any_depth(value, shown):
    assert json.loads(to_json(value)) == shown
    assert json.loads(to_json({"a": [(value,)]})) == {"a": [[shown]]}


def test_keys_that_json_lacks_are_texts():
    keys = {b"a": 1, date(2024, 1, 1): 2, 3: 4, math.nan: 5, None: 6}

    assert list(json.loads(to_json(keys))) == ["a", "2024-01-01", "3", "NaN", "null"]


@pytest.mark.parametrize("text", ["\ud800", "\x1b[31m", "\x9b31m", "\u202eabc", "\x7f", "a\nb"])
def test_json_escapes_what_steers_terminals_and_means_the_same(text):
    shown = to_json([text])

    assert shown.isprintable()
    assert json.loads(shown) == [text]


def test_json_is_ascii_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))

    assert to_json("ä") == '"ä"'
    assert to_json("€") == '"\\u20ac"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("all äß€ 😀\n\tis well", "all äß€ 😀\n\tis well"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("back\rspace\b", "back\\rspace\\x08"),
        ("\x9b31m\u202e", "\\x9b31m\\u202e"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


def test_error_is_one_line_with_its_notes():
    error = ValueError("a\n\x1b[31mb")
    error.add_note("did you mean c?")

    assert one_line(error) == "ValueError: a\\n\\x1b[31mb; did you mean c?"


def test_log_record_has_its_error_in_the_place_of_a_traceback(caplog):
    logger = logging.getLogger("test_output.own")
    logger.addFilter(in_one_line)

    try:
        raise ValueError("100 %s")
    except ValueError:
        logger.error("worker %s failed", "a.b", exc_info=True)
    logger.error("%d others", 2)

    assert caplog.messages == ["worker a.b failed: ValueError: 100 %s", "2 others"]
    assert "Traceback" not in caplog.text
