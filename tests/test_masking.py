"""What may be shown."""

import pytest

from rpcnode.config import Config
from rpcnode.masking import MASK, describe, is_secret, mask_secrets, mask_uri


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
        ("amqp//user:secret@host", f"amqp//user:{MASK}@host"),
        ("amqp://${USER:guest}:secret", f"amqp://${{USER:guest}}:{MASK}"),
        ("redis://host/0?sslpassword=se cret;=&db=1", f"redis://host/0?sslpassword={MASK}&db=1"),
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
        "sqlite://${X:}",
        "sqlite://${X:name}/path",
        "amqp://host?author=me&keyboard=de",
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


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASS", "SMTP_PWD", "user_pw", "PASSPHRASE", "PASSWORD1", "DBPASSWORD", "MYSQLPASS"),
        *("CREDENTIALS", "AUTH.pass", "OAUTH", "authToken", "Authorization", "Client-Secret"),
        *("API_KEY", "APIKey", "apikey", "signing-keys", "ACCESS_TOKEN", "tokens", "DSN"),
        *("SENTRY_DSN", "dbPass", "smtpPwd"),
    ],
)
def test_name_that_speaks_of_a_secret_is_told(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("AUTHOR", "AUTHORITY", "KEYBOARD", "KEYSPACE", "BYPASS", "PASSENGERS", "PASSIVE"),
        *("MONKEY", "monkeyPatch", "hotkeys", "COMPASS", "name", ""),
    ],
)
def test_name_that_only_looks_like_it_is_none(name):
    assert not is_secret(name)


def test_no_key_of_rpcnode_itself_is_hidden():
    config = Config()

    shown = mask_secrets(config)

    assert {name for name in config if shown[name] != config[name]} == {"AMQP_URI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=a password=secret", f"host=a password={MASK}"),
        ("host=a password='sec \\' ret' user=b", f"host=a password={MASK} user=b"),
        ('password = "secret"', f"password = {MASK}"),
        ("Server=x;Pwd=secret;Database=y", f"Server=x;Pwd={MASK};Database=y"),
        ("Server=x;Pwd=sec;ret&;Database=y;", f"Server=x;Pwd={MASK};Database=y;"),
        ("PWD={sec;x=ret};Database=y", f"PWD={MASK};Database=y"),
        ("cache:6379,password=secret,ssl=1", f"cache:6379,password={MASK}"),
        ("postgresql:///shop?user=a&password=secret", f"postgresql:///shop?user=a&password={MASK}"),
        ("--author=me --api-key=secret", f"--author=me --api-key={MASK}"),
        ("see u:secret@host:// there", f"see u:{MASK}@host:// there"),
    ],
)
def test_secrets_within_a_text_are_hidden(text, shown):
    assert mask_secrets(text) == shown
    assert mask_secrets({"options": [text]}) == {"options": [shown]}


@pytest.mark.parametrize(
    "text",
    ["Note: see http://docs", "sqlite://${X:}", "a: b = c", "password=", "monkey=1;bypass=2"],
)
def test_text_without_secrets_is_shown_as_it_is(text):
    assert mask_secrets(text) == text


def test_what_stands_under_the_name_of_a_uri_is_taken_for_one():
    shown = mask_secrets({"DB_URI": "u:secret@h", "urls": ["u:secret"], "note": "a:b@c"})

    assert shown == {"DB_URI": f"u:{MASK}@h", "urls": [f"u:{MASK}"], "note": "a:b@c"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Config, "the class rpcnode.config.Config"),
        ("hello", "'hello'"),
        ("amqp://u:secret@h", f"'amqp://u:{MASK}@h'"),
        (None, "None"),
        ({"password": "secret"}, "a dict object"),
        (Config(), "a Config object"),
    ],
)
def test_value_that_was_given_is_described(value, words):
    assert describe(value) == words
