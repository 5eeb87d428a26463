"""What may be shown."""

import pytest

from rpcnode.masking import MASK, mask_secrets, mask_uri


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("amqp://user:secret@host:5672/vhost", f"amqp://user:{MASK}@host:5672/vhost"),
        ("pyamqp://user:secret@host//", f"pyamqp://user:{MASK}@host//"),
        ("amqp://user:sec@ret@host", f"amqp://user:{MASK}@host"),
        ("amqp://user:sec/ret?#@host", f"amqp://user:{MASK}@host"),
        ("amqp://user:sec:ret@host", f"amqp://user:{MASK}@host"),
        ("amqp://user:sec;ret@host", f"amqp://user:{MASK}@host"),
        ("amqp://user:sec\nret@host", f"amqp://user:{MASK}@host"),
        ("amqp://user:%73ecret@[::1]:5672//", f"amqp://user:{MASK}@[::1]:5672//"),
        ("amqp://me@home:secret@host", f"amqp://me@home:{MASK}@host"),
        ("redis://:secret@host/0", f"redis://:{MASK}@host/0"),
        ("user:secret@host", f"user:{MASK}@host"),
        ("amqp://user:secret", f"amqp://user:{MASK}"),
        ("redis://host/0?password=secret&db=1", f"redis://host/0?password={MASK}&db=1"),
        (
            "amqp://a:secret@one//;amqps://b:secr;et@two//",
            f"amqp://a:{MASK}@one//;amqps://b:{MASK}@two//",
        ),
    ],
)
def test_password_of_a_uri_is_hidden(uri, shown):
    assert mask_uri(uri) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "memory://",
        "memory://name",
        "amqp://host",
        "amqp://host/vhost",
        "amqp://host:5672//",
        "amqp://host:5672?heartbeat=10",
        "amqp://user@host:5672//",
        "amqp://[::1]:5672//",
        "amqp://one:5672//;amqp://two:5672//",
        "",
    ],
)
def test_uri_without_a_password_is_shown_as_it_is(uri):
    assert mask_uri(uri) == uri


def test_secrets_are_hidden_at_any_depth():
    config = {
        "AMQP_URI": "amqp://user:secret@host",
        "DB_PASSWORD": "secret",
        "payment": {
            "api_key": "secret",
            "urls": ["http://u:secret@h", ("x", "a://b:secret@c")],
        },
        "tokens": {"alice": "secret", "bob": ["secret"]},
        "Client-Secret": 12,
        "DB_URIS": {"http://u:secret@h": 1},
    }

    shown = mask_secrets(config)

    assert "secret" not in repr(shown)
    assert shown["payment"]["urls"][1][0] == "x"
    assert shown["Client-Secret"] == MASK


def test_what_is_no_secret_is_shown():
    config = {
        "name": "a@b:c",
        "number": 3,
        "nothing": None,
        "token": None,
        1: [True, 2.5],
    }

    assert mask_secrets(config) == config
