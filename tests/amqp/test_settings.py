"""Where the broker is, what it can do, and what of it may be shown."""

import kombu
import pytest

from rpcnode.amqp.settings import BrokerSettings, Capabilities, register_transports
from rpcnode.amqp.transport import Transport
from rpcnode.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("uri", "is_amqp", "is_embedded"),
    [
        ("amqp://host", True, False),
        ("AMQPS://host", True, False),
        ("pyamqp://host", True, False),
        ("memory://", False, True),
        ("redis://host", False, False),
    ],
)
def test_scheme_tells_the_transport(uri, is_amqp, is_embedded):
    settings = BrokerSettings(uri)

    assert (settings.is_amqp, settings.is_embedded) == (is_amqp, is_embedded)


def test_capabilities_are_those_of_the_transport():
    assert BrokerSettings("amqp://").capabilities.missing("confirms", "priority") == []
    assert BrokerSettings("memory://").capabilities.missing("confirms", "priority") == []
    assert BrokerSettings("redis://").capabilities == Capabilities()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("amqp://user:secret@host:5672/vhost", "amqp://user:********@host:5672/vhost"),
        ("amqp://user:se@cret@host//", "amqp://user:********@host//"),
        ("amqp://user:se#cr/et@host", "amqp://user:********@host"),
        ("amqp://user:se;cret@host", "amqp://user:********@host"),
        ("amqp://user:se://cret@host", "amqp://user:********@host"),
        ("amqp://:secret@host", "amqp://:********@host"),
        ("amqp://user@host", "amqp://user@host"),
        ("amqp://host", "amqp://host"),
        ("amqps://host?password=secret", "amqps://host?password=********"),
        (
            "amqp://a:secret@one//;amqp://b:secret@two//",
            "amqp://a:********@one//;amqp://b:********@two//",
        ),
        ("user:secret@host", "user:********@host"),
        ("memory://", "memory://"),
    ],
)
def test_password_is_never_shown(uri, shown):
    settings = BrokerSettings(uri, ssl={"password": "secret"}, transport_options={"p": "secret"})

    assert settings.safe_uri == shown
    assert "cret" not in repr(settings)
    assert shown in repr(settings)


def test_alternates_are_settings_of_their_own_in_the_order_given():
    settings = BrokerSettings("amqp://a:b;c@one//;AMQPS://two;pyamqp://three", heartbeat=7)

    alternates = settings.alternates()

    uris = ["amqp://a:b;c@one//", "AMQPS://two", "pyamqp://three"]
    assert [each.uri for each in alternates] == uris
    assert [each.is_encrypted for each in alternates] == [False, True, False]
    assert {each.heartbeat for each in alternates} == {7}


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("amqp://one;redis://two", "need the transport of the first"),
        ("memory://one;amqp://two", "need the transport of the first"),
        ("amqp://u:secret@one;two", "begins with its scheme"),
        ("amqp://u:secret@one//;two", "begins with its scheme"),
    ],
)
def test_addresses_that_do_not_go_together_are_an_error_without_the_password(uri, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        BrokerSettings(uri).alternates()

    assert "secret" not in str(caught.value)


def test_addresses_of_other_transports_are_left_together():
    settings = BrokerSettings("sentinel://one;sentinel://two")

    assert settings.alternates() == (settings,)
    assert settings.kombu_uri() == settings.uri


@pytest.mark.parametrize(
    ("uri", "ssl", "is_encrypted"),
    [
        ("amqp://host", None, False),
        ("amqp://host", False, False),
        ("amqp://host", True, True),
        ("amqp://host", {}, True),
        ("amqps://host", None, True),
        ("AMQPS://host", False, True),
    ],
)
def test_scheme_or_option_encrypts(uri, ssl, is_encrypted):
    assert BrokerSettings(uri, ssl=ssl).is_encrypted is is_encrypted


@pytest.mark.parametrize("uri", ["amqp://host", "AMQPS://host", "pyamqp://host"])
def test_kombu_finds_our_transport_by_its_name(uri):
    register_transports()

    connection = kombu.Connection(BrokerSettings(uri).kombu_uri())

    assert type(connection.transport) is Transport


def test_password_with_a_semicolon_reaches_kombu_whole():
    register_transports()

    connection = kombu.Connection(BrokerSettings("amqp://user:se;cret@host").kombu_uri())

    assert (connection.password, connection.hostname) == ("se;cret", "host")
