"""Properties with their types: nothing of a message is lost on the way through JSON."""

import json
import struct

import pytest

from rpcnode.amqp.fieldforms import from_json, to_json
from rpcnode.amqp.fields import Field, FieldError, decode, encode, integer
from rpcnode.amqp.properties import decode_properties, encode_properties
from tests.amqp.random_messages import Draw


def with_headers(table):
    """Return encoded properties that are a table of headers alone."""
    return b"\x20\x00" + table


def test_headers_of_all_types_are_encoded_as_they_were():
    drawn = [with_headers(Draw(seed).encoded_table()) for seed in range(500)]

    assert [encode(decode(each)) for each in drawn] == drawn


def test_properties_survive_json():
    draws = map(Draw, range(500))
    drawn = [encode_properties(draw.properties(), draw.headers()) for draw in draws]

    forms = [json.dumps(to_json(decode(each))) for each in drawn]

    assert [encode(from_json(json.loads(form))) for form in forms] == drawn


def test_json_tells_the_types_that_it_does_not_have():
    headers = {"text": "é", "flag": True, "none": None, "large": 2**40, "list": [1, {"a": 1.5}]}

    form = to_json(decode(encode_properties({"priority": 3, "type": "t"}, headers)))

    assert form == {
        "priority": 3,
        "type": "t",
        "headers": {
            "text": "é",
            "flag": True,
            "none": None,
            "large": {"L": 2**40},
            "list": {"A": [{"I": 1}, {"F": {"a": {"d": "1.5"}}}]},
        },
    }


def test_changed_headers_are_read_as_any_others():
    properties = decode(encode_properties({"message_id": "1"}, {"a": 1, "b": "2"}))

    properties["headers"] = [*properties["headers"][1:], (b"c", integer(2**40))]

    decoded = decode_properties(bytes((0, 60, *bytes(10))) + encode(properties))
    assert decoded == {"message_id": "1", "application_headers": {"b": "2", "c": 2**40}}


@pytest.mark.parametrize(
    "table",
    [
        [(b"\xff", Field("V", None))],
        [(b"a", Field("V", None)), (b"a", Field("V", None))],
        [(b"a", Field("F", [(b"\xff", Field("V", None))]))],
    ],
)
def test_what_json_has_no_form_for_is_refused(table):
    assert decode(encode({"headers": table})) == {"headers": table}

    with pytest.raises(FieldError):
        to_json({"headers": table})


def test_properties_that_are_none_are_refused_and_others_are_not():
    outcomes = [is_read(damaged(Draw(seed))) for seed in range(500)]

    assert set(outcomes) == {True, False}


def damaged(draw):
    encoded = bytearray(encode_properties(draw.properties(), {"a": [1, {"b": "c"}], "d": "e"}))
    encoded[draw.randrange(len(encoded))] ^= draw.randrange(1, 256)
    del encoded[draw.randrange(2, len(encoded) + 20) :]
    return bytes(encoded)


def is_read(encoded):
    try:
        properties = decode(encoded)
    except FieldError:
        return False
    assert encode(properties) == encoded
    return True


def test_tables_within_tables_have_an_end():
    table = b""
    for _ in range(100):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table

    with pytest.raises(FieldError, match="64 tables"):
        decode(with_headers(struct.pack(">I", len(table)) + table))


@pytest.mark.parametrize(
    "form",
    [
        *(None, [], {"nope": ""}, {"priority": "3"}, {"priority": True}, {"type": 3}),
        *({"headers": {"a": value}} for value in (1, [], {}, {"I": "1"}, {"I": 1, "L": 1})),
        *({"headers": {"a": value}} for value in ({"Z": 1}, {"": 1}, {"D": "x"}, {"D": "inf"})),
        *({"headers": {"a": value}} for value in ({"x": "*"}, {"A": {}}, {"F": []}, {"d": []})),
    ],
)
def test_form_that_is_none_is_refused(form):
    with pytest.raises(FieldError):
        from_json(form)


@pytest.mark.parametrize(
    "properties",
    [
        *({"priority": 256}, {"type": b"x" * 256}, {"timestamp": -1}),
        *({"headers": [(b"a", Field("I", 2**31))]}, {"headers": [(b"a", Field("D", (300, 1)))]}),
    ],
)
def test_value_that_does_not_fit_is_refused(properties):
    with pytest.raises(FieldError):
        encode(properties)
