"""Basic properties by hand are py-amqp's, byte for byte."""

import math
from datetime import datetime
from decimal import Decimal

import amqp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpcnode.amqp.codec import ENCODING_ERRORS
from rpcnode.amqp.properties import MOST_REMEMBERED, encode_properties

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
    *("content_type", "content_encoding", "correlation_id", "reply_to", "expiration"),
    *("message_id", "type", "user_id", "app_id", "cluster_id"),
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "delivery_mode": st.integers(0, 255),
        "priority": st.one_of(st.none(), st.integers(0, 255)),
        "timestamp": st.integers(0, 2**64 - 1),
        "unknown": TEXTS,
        **dict.fromkeys(SHORT_TEXTS, TEXTS),
    },
)


def with_headers(properties, headers):
    return {**properties, "application_headers": headers} if headers else properties


def py_amqp_encoded(properties, headers):
    return amqp.Message(b"", **with_headers(properties, headers))._serialize_properties()


def encoded(properties, headers):
    return encode_properties(with_headers(properties, headers))


@settings(max_examples=500, deadline=None)
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
        properties = {"type": f"type-{number}"}
        assert encoded(properties, {}) == py_amqp_encoded(properties, {})
