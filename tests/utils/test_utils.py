"""Small things."""

import os.path

import pytest

from rpcnode.containers import ServiceContainer
from rpcnode.exceptions import IncorrectSignature
from rpcnode.extensions import Entrypoint
from rpcnode.utils import REDACTED, get_redacted_args, import_from_path, sanitize_url


def make_entrypoint(*sensitive):
    class Service:
        name = "service"

        @Entrypoint.decorator(sensitive_arguments=sensitive)
        def method(self, a, b=None, *rest, **more): ...

    return ServiceContainer(Service, {}).entrypoints[0]


def test_arguments_are_shown_by_name_with_their_defaults():
    arguments = get_redacted_args(make_entrypoint(), 1, x=2)

    assert arguments == {"a": 1, "b": None, "rest": (), "more": {"x": 2}}


def test_sensitive_argument_is_redacted():
    arguments = get_redacted_args(make_entrypoint("b"), "a", "secret")

    assert arguments["a"] == "a"
    assert arguments["b"] == REDACTED == "********"


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("a.pin", {"pin": 1, "name": "x"}, {"pin": REDACTED, "name": "x"}),
        ("a[1]", [1, 2, 3], [1, REDACTED, 3]),
        ("a[0].pin", [{"pin": 1}, {"pin": 2}], [{"pin": REDACTED}, {"pin": 2}]),
        ("a.pins[0]", {"pins": (1, 2)}, {"pins": [REDACTED, 2]}),
        ("a.other", {"pin": 1}, {"pin": 1}),
        ("a[5]", [1], [1]),
        ("a.pin", "text", "text"),
    ],
)
def test_part_of_an_argument_is_redacted(path, value, shown):
    before = repr(value)

    assert get_redacted_args(make_entrypoint(path), value)["a"] == shown
    assert repr(value) == before


def test_arguments_that_do_not_fit_cannot_be_shown():
    with pytest.raises(IncorrectSignature):
        get_redacted_args(make_entrypoint())


def test_objects_are_found_by_their_path():
    assert import_from_path("os.path.join") is os.path.join
    assert import_from_path(None) is None
    with pytest.raises(ImportError, match=r"no\.such\.thing"):
        import_from_path("no.such.thing")


def test_password_in_a_url_is_hidden():
    assert "secret" not in sanitize_url("amqp://user:secret@host:5672/vhost")
    assert sanitize_url("amqp://host/vhost") == "amqp://host/vhost"
