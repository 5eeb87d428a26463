"""Exceptions on their way: as error objects, and back."""

import json

import pytest

from rpcnode.exceptions import (
    DeadlineExceeded,
    IncorrectSignature,
    MalformedRequest,
    MethodNotFound,
    RemoteError,
    RpcTimeout,
    TooBusy,
    UnknownService,
    UnserializableValueError,
    deserialize,
    deserialize_to_instance,
    registry,
    safe_for_serialization,
    serialize,
)


@pytest.mark.parametrize(
    "error",
    [
        MalformedRequest("a"),
        MethodNotFound("b"),
        IncorrectSignature("c"),
        TooBusy("d"),
        RpcTimeout("e"),
        UnknownService("service", "method"),
        UnserializableValueError([1]),
    ],
)
def test_own_errors_travel_under_nameko_s_names(error):
    data = serialize(error)

    assert data["exc_path"] == f"nameko.exceptions.{type(error).__name__}"
    for path in (data["exc_path"], data["exc_path"].replace("nameko", "rpcnode")):
        back = deserialize({**data, "exc_path": path}, "service.method")
        assert type(back) is type(error)
        assert str(error) in str(back)


def test_nameko_s_error_of_a_value_that_cannot_be_sent_has_it_in_its_text_alone():
    error = {
        "exc_type": "UnserializableValueError",
        "exc_path": "nameko.exceptions.UnserializableValueError",
        "exc_args": [],
        "value": "Unserializable value: `<object>`",
    }

    back = deserialize(error, "service.method")

    assert isinstance(back, UnserializableValueError)
    assert (back.repr_value, str(back)) == ("<object>", "Unserializable value: `<object>`")


def test_error_object_is_nameko_s():
    assert serialize(ValueError("bad", 3, {"n": 1})) == {
        "exc_type": "ValueError",
        "exc_path": "builtins.ValueError",
        "exc_args": ["bad", "3", {"n": "1"}],
        "value": "('bad', 3, {'n': 1})",
    }


def test_overrun_deadline_is_a_timeout_for_the_caller():
    data = serialize(DeadlineExceeded("too long"))

    assert isinstance(deserialize(data, "service.method"), RpcTimeout)


def test_remote_error_is_passed_on_as_it_came():
    data = serialize(KeyError("x"))

    error = deserialize(data, "service.method")

    assert isinstance(error, RemoteError)
    assert str(error) == "KeyError 'x' (calling service.method)"
    assert serialize(error) == data


@pytest.mark.parametrize(
    "data", [None, "text", [1], {}, {"exc_type": 1}, {"exc_path": ["x"]}, {"exc_args": "text"}]
)
def test_garbage_is_a_remote_error(data):
    assert isinstance(deserialize(data, "service.method"), RemoteError)


def test_nothing_is_looked_up_by_a_name_off_the_wire():
    error = deserialize({"exc_type": "X", "exc_path": "os.system", "exc_args": ["true"]}, "a.b")

    assert type(error) is RemoteError


def test_registered_class_that_wants_other_arguments_is_a_remote_error():
    @deserialize_to_instance
    class Picky(Exception):
        def __init__(self, one, two):
            super().__init__(one, two)

    data = {**serialize(Picky(1, 2)), "exc_args": []}

    try:
        assert type(deserialize(data, "a.b")) is RemoteError
        assert type(deserialize(serialize(Picky(1, 2)), "a.b")) is Picky
    finally:
        registry.pop(f"{__name__}.Picky")


class Broken:
    def __str__(self):
        raise ValueError


def test_anything_has_a_safe_form():
    assert safe_for_serialization((1, {"a": {2}}, None, b"x")) == [
        "1",
        {"a": ["2"]},
        "None",
        "b'x'",
    ]
    assert safe_for_serialization([Broken()]) == ["[__unicode__ failed]"]
    endless = []
    endless.append(endless)
    assert json.dumps(safe_for_serialization(endless))


def test_method_that_was_called_need_not_be_known():
    assert str(deserialize(serialize(KeyError("x")))) == "KeyError 'x'"
    assert str(deserialize(serialize(MethodNotFound("place")))) == "place"


def test_note_of_a_registered_class_names_the_method_where_it_is_known():
    @deserialize_to_instance
    class Plain(Exception):
        pass

    try:
        known, unknown = (deserialize(serialize(Plain()), *called) for called in (["a.b"], []))
    finally:
        registry.pop(f"{__name__}.Plain")

    assert known.__notes__ == ["raised by a.b"]
    assert not hasattr(unknown, "__notes__")
