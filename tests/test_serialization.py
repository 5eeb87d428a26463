"""Payloads."""

import json
import tracemalloc
import uuid
from datetime import date, datetime
from decimal import Decimal

import kombu.serialization
import pytest

from rpcnode import serialization
from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError, UndecodableMessage, UnserializableValueError
from rpcnode.serialization import Serialization, compress, setup

JSON = {"content_type": "application/json"}


def make(**config):
    return Serialization.from_config(Config(config))


def round_trip(value, serialization=None):
    serialization = serialization or make()
    return serialization.decode(serialization.default.encode(value), JSON, {})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2.5, "ü", {"a": [True]}],
        datetime(2026, 1, 2, 3, 4, 5, 6),
        date(2026, 1, 2),
        Decimal("1.10"),
        uuid.UUID(int=5),
        b"\xff",
        {"__type__": "no such type", "__value__": 1},
        {"__type__": ["unhashable"], "__value__": 1},
        {"__type__": "datetime", "__value__": "no date"},
        {"__type__": "datetime", "more": 1, "__value__": 2},
    ],
)
def test_json_brings_back_what_was_sent(value):
    assert round_trip(value) == value


def test_json_is_what_other_peers_read():
    assert make().default.encode({"a": [1, "ü"]}) == b'{"a":[1,"\\u00fc"]}'
    assert json.loads(make().default.encode(Decimal("1.10"))) == {
        "__type__": "decimal",
        "__value__": "1.10",
    }


@pytest.mark.parametrize("value", [object(), {1j: 2}, float, [set()]])
def test_value_that_cannot_be_sent_is_named(value):
    with pytest.raises(UnserializableValueError) as caught:
        make().default.encode(value)

    assert repr(value) in str(caught.value)


def test_value_that_contains_itself_cannot_be_sent():
    value = []
    value.append(value)

    with pytest.raises(UnserializableValueError):
        make().default.encode(value)


def test_large_value_that_contains_itself_is_not_written_again_and_again():
    value = {"items": ["x" * 100] * 1000}
    value["itself"] = value
    tracemalloc.start()

    with pytest.raises(UnserializableValueError) as caught:
        make().default.encode(value)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10_000_000
    assert "Circular" in str(caught.value.__cause__)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_value_that_is_nested_too_deep_cannot_be_sent():
    with pytest.raises(UnserializableValueError):
        make().default.encode(nested(200_000))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"__type__":'])
def test_body_that_is_nested_too_deep_cannot_be_read(opening):
    with pytest.raises(UndecodableMessage, match="recursion"):
        make().decode(opening * 200_000, JSON, {})


@pytest.mark.parametrize("has_accelerator", [True, False])
def test_json_is_that_of_the_standard_library(has_accelerator, monkeypatch):
    if not has_accelerator:
        monkeypatch.setattr(serialization, "_make_encoder", None)
    values = ["x", 1, None, True, 1.5, [], (1,), {1: {}}, "\ud800", {"": [{"é": [[]]}]}]

    encoded = [make().default.encode(value) for value in values]

    assert encoded == [json.dumps(each, separators=(",", ":")).encode() for each in values]


@pytest.mark.parametrize(
    ("body", "properties", "text"),
    [
        (b"{", JSON, "not json"),
        (b"\xff", JSON, "not json"),
        (b"1", {"content_type": "text/plain"}, r"'text/plain' is not accepted, only application"),
        (b"1", {**JSON, "content_encoding": "klingon"}, "klingon"),
    ],
)
def test_body_that_cannot_be_read_says_why(body, properties, text):
    with pytest.raises(UndecodableMessage, match=text):
        make().decode(body, properties, {})


def test_other_character_sets_are_read():
    latin = {**JSON, "content_encoding": "latin-1"}

    assert make().decode('"ü"'.encode("latin-1"), latin, {}) == "ü"


def test_compressed_bodies_are_read():
    body, kind = compress(b'"text"', "zlib")

    assert make().decode(body, JSON, {"compression": kind}) == "text"
    for unknown in ("no such", 5, ["x"]):
        with pytest.raises(UndecodableMessage, match=r"compressed with .*, which is not known"):
            make().decode(body, JSON, {"compression": unknown})
    with pytest.raises(UndecodableMessage, match="cannot be decompressed"):
        make().decode(b"text", JSON, {"compression": kind})


@pytest.mark.parametrize("kind", ["zlib", "bzip2", "lzma"])
def test_body_that_is_too_large_when_decompressed_is_refused(monkeypatch, kind):
    monkeypatch.setattr(serialization, "LARGEST_BODY", 1000)
    fitting, header = compress(b'"' + b"x" * 998 + b'"', kind)
    bomb, _ = compress(b'"' + b"x" * 999 + b'"', kind)

    assert make().decode(fitting, JSON, {"compression": header}) == "x" * 998
    with pytest.raises(UndecodableMessage, match="more than 1000 bytes"):
        make().decode(bomb, JSON, {"compression": header})


@pytest.mark.parametrize("kind", ["zlib", "bzip2", "lzma"])
def test_body_that_is_too_large_is_not_decompressed_to_its_end(monkeypatch, kind):
    monkeypatch.setattr(serialization, "LARGEST_BODY", 1000)
    bomb, header = compress(b"x" * 30_000_000, kind)
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableMessage, match="more than 1000 bytes"):
            make().decode(bomb, JSON, {"compression": header})
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 15_000_000


@pytest.mark.parametrize("name", ["punycode", "zip", "base64", "no-such", 5])
def test_charsets_are_few_and_none_is_looked_up(name):
    with pytest.raises(UndecodableMessage, match="content encoding .* is not known"):
        make().decode(b'"x"', {**JSON, "content_encoding": name}, {})


def test_only_what_is_accepted_is_read():
    serialization = make(ACCEPT=["json", "msgpack"], SERIALIZER="msgpack")

    assert serialization.of({}).name == "msgpack"
    assert serialization.of(JSON).name == "json"
    assert serialization.for_reply(JSON).name == "json"
    assert serialization.for_reply({"content_type": "text/plain"}).name == "msgpack"
    with pytest.raises(UndecodableMessage):
        make(SERIALIZER="msgpack").of(JSON)


def upper(value):
    return value.upper()


def lower(text):
    return text.lower()


def test_own_serializers_are_named_in_the_configuration():
    entry = {"encoder": f"{__name__}.upper", "decoder": lower, "content_type": "text/loud"}
    serialization = make(SERIALIZERS={"loud": entry}, SERIALIZER="loud", ACCEPT=["json", "loud"])

    assert serialization.default.encode("text") == b"TEXT"
    assert serialization.decode(b"TEXT", {"content_type": "text/loud"}, {}) == "text"
    assert serialization.named("json").name == "json"
    assert serialization.named(None).name == "loud"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"SERIALIZER": "yaml"}, "no serializer 'yaml', only json"),
        ({"SERIALIZER": "pickle"}, "pickle runs whatever a sender likes"),
        ({"ACCEPT": ["pickle"]}, "pickle runs whatever a sender likes"),
        ({"SERIALIZERS": {"x": {"encoder": upper}}}, "'x' lacks"),
        (
            {"SERIALIZERS": {"x": {"encoder": "no.where", "decoder": lower, "content_type": "x"}}},
            "no function 'no.where'",
        ),
    ],
)
def test_wrong_configuration_is_refused(config, text):
    with pytest.raises(ConfigurationError, match=text):
        make(**config)


def test_names_for_kombu_are_those_that_the_configuration_asks_for():
    entry = {"encoder": upper, "decoder": lower, "content_type": "text/loud-for-kombu"}

    serializer, accept = setup({"serializer": "loud", "SERIALIZERS": {"loud": entry}})

    assert (serializer, accept) == ("loud", ["loud"])
    assert kombu.serialization.dumps("text", serializer="loud") == (
        "text/loud-for-kombu",
        "utf-8",
        "TEXT",
    )
    assert setup({"ACCEPT": ["json", "msgpack"]}) == ("json", ["json", "msgpack"])


def test_names_for_kombu_that_nobody_knows_are_refused():
    with pytest.raises(ConfigurationError, match="no serializer 'yaml'"):
        setup({"ACCEPT": ["yaml"]})
