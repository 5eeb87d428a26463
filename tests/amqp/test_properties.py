"""Basic properties by hand are py-amqp's, byte for byte."""

import math
import struct
from datetime import datetime
from decimal import Decimal

import amqp
import pytest
from amqp.exceptions import FrameSyntaxError
from hypothesis import given, settings
from hypothesis import strategies as st

from rpcnode.amqp import properties as by_hand
from rpcnode.amqp import stock
from rpcnode.amqp.tables import ENCODED, MOST_REMEMBERED
from rpcnode.amqp.unencodable import ENCODING_ERRORS

TEXTS = st.text(max_size=60)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) + 1])
)
PLAIN = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none(), st.floats(allow_nan=False))
RARE = st.one_of(
    st.binary(max_size=20),
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),
    st.decimals(-1000, 1000, places=2),
    st.tuples(TEXTS),
)
VALUES = st.recursive(
    st.one_of(PLAIN, RARE),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
HEADERS = st.dictionaries(TEXTS, VALUES, max_size=5)
SHORT_TEXTS = (
    *("content_type", "content_encoding", "correlation_id", "reply_to"),
    *("message_id", "type", "user_id", "app_id", "cluster_id"),
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "delivery_mode": st.integers(0, 255),
        "priority": st.one_of(st.none(), st.integers(0, 255)),
        "timestamp": st.integers(0, 2**64 - 1),
        "expiration": st.integers(0, 315_360_000_000).map(str),
        "unknown": TEXTS,
        **dict.fromkeys(SHORT_TEXTS, TEXTS),
    },
)


HEAD = b"\0\x3c\0\0" + bytes(8)  # class, weight, size of the body


def nested(depth):
    """Return a table in a table in a table."""
    table = b""
    for _ in range(depth):
        table = struct.pack(">I", len(table) + 3) + b"\1aF" + table if table else bytes(4)
    return table


def with_headers(properties, headers):
    return {**properties, "application_headers": headers} if headers else properties


def py_amqp_encoded(properties, headers):
    return amqp.Message(b"", **with_headers(properties, headers))._serialize_properties()


def encoded(properties, headers):
    return by_hand.encode_properties(properties, headers)


@settings(max_examples=150, deadline=None)
@given(PROPERTIES, HEADERS)
def test_encoded_bytes_are_those_of_py_amqp(properties, headers):
    assert encoded(properties, headers) == py_amqp_encoded(properties, headers)


@pytest.mark.parametrize(
    ("properties", "headers"),
    [
        ({"message_id": "x" * 256}, {}),
        ({"priority": 256}, {}),
        ({"priority": "high"}, {}),
        ({"timestamp": -1}, {}),
        ({"correlation_id": 5}, {}),
        ({}, {"object": object()}),
        ({}, {"x" * 256: 1}),
        ({}, {"huge": 2**70}),
    ],
)
def test_what_py_amqp_refuses_is_refused_alike(properties, headers):
    with pytest.raises(ENCODING_ERRORS) as expected:
        py_amqp_encoded(properties, headers)

    with pytest.raises(expected.type):
        encoded(properties, headers)


@pytest.mark.parametrize("value", [math.nan, math.inf, Decimal("1.5"), True, "\ud800", b"\xff"])
def test_odd_values_are_encoded_as_py_amqp_does(value):
    assert encoded({}, {"odd": value}) == py_amqp_encoded({}, {"odd": value})


def test_texts_that_come_again_are_not_remembered_without_end():
    for number in range(2 * MOST_REMEMBERED):
        properties = {"type": f"type-{number}", "expiration": str(number)}
        assert encoded(properties, {}) == py_amqp_encoded(properties, {})

    assert max(len(ENCODED), len(by_hand._EXPIRATIONS)) <= MOST_REMEMBERED


@pytest.mark.parametrize("codec", [by_hand, stock])
@pytest.mark.parametrize("value", ["soon", "-1", "315360000001", "\u0661", 1000, ["1"]])
def test_expiration_that_the_broker_would_not_take_is_an_error(codec, value):
    with pytest.raises(ValueError, match="is not a number of milliseconds"):
        codec.encode_properties({"expiration": value}, {})


def header(properties, headers):
    return HEAD + py_amqp_encoded(properties, headers)


@settings(max_examples=100, deadline=None)
@given(PROPERTIES, HEADERS)
def test_decoded_properties_are_those_of_py_amqp(properties, headers):
    data = header(properties, headers)

    assert by_hand.decode_properties(data) == stock.decode_properties(data)


def test_ordinary_properties_are_decoded_without_py_amqp(monkeypatch):
    properties = {name: name for name in SHORT_TEXTS}
    properties |= {"delivery_mode": 2, "priority": 9, "timestamp": 2**63, "expiration": "30000"}
    headers = {"stack": ["a", "b"], "number": 1, "large": 2**40, "deep": {"x": [None, True, 1.5]}}
    data = header(properties, headers)
    monkeypatch.delattr(stock, "decode_properties")

    decoded = by_hand.decode_properties(data)

    assert decoded == with_headers(properties, headers)


@pytest.mark.parametrize(
    ("encoded", "error"),
    [
        (b"", struct.error),
        (b"\x80", struct.error),
        (b"\x80\0", struct.error),
        (b"\0\x80\2\xff\xff", UnicodeDecodeError),
        (b"\x20\0\0\0\0\5\1a?", FrameSyntaxError),
        (b"\x20\0\0\0\0\x0f\4fromT\x10" + bytes(7), (ValueError, OverflowError, OSError)),
        (b"\x20\0\0\0\xff\xff\1aI\0\0\0\1", (IndexError, struct.error)),
        (b"\x20\0" + nested(5000), RecursionError),
    ],
    ids=["nothing", "half", "text", "no text", "letter", "year", "size", "depth"],
)
def test_properties_that_cannot_be_read_have_the_error_of_py_amqp(encoded, error):
    for codec in (by_hand, stock):
        with pytest.raises(error):
            codec.decode_properties(HEAD + encoded)


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"\x80\0\5ab", {"content_type": "ab"}),
        (b"\x80\0\2ab and more", {"content_type": "ab"}),
        (b"\x80\1\2ab", {"content_type": "ab"}),
        (b"\x80\0\3\xed\xa0\x80", {"content_type": "\ud800"}),
    ],
    ids=["cut off", "too long", "more flags", "surrogate"],
)
def test_odd_properties_are_decoded_as_py_amqp_does(encoded, decoded):
    for codec in (by_hand, stock):
        assert codec.decode_properties(HEAD + encoded) == decoded


def test_properties_of_another_class_are_an_error():
    for codec in (by_hand, stock):
        with pytest.raises(KeyError):
            codec.decode_properties(b"\0\x5a" + HEAD[2:] + b"\0\0")
