"""Where the broker is, what it can do, and what of it may be shown."""

import kombu
import pytest

from rpcnode.amqp.settings import BrokerSettings, Capabilities, register_transports
from rpcnode.amqp.transport import TlsTransport, Transport


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


def test_every_alternate_gets_our_transport():
    settings = BrokerSettings("amqp://one;amqps://two;redis://three")

    assert settings.kombu_uri() == "rpcnodeamqp://one;rpcnodeamqps://two;redis://three"


@pytest.mark.parametrize(
    ("uri", "transport"), [("amqp://host", Transport), ("amqps://host", TlsTransport)]
)
def test_kombu_finds_our_transports_by_their_names(uri, transport):
    register_transports()

    connection = kombu.Connection(BrokerSettings(uri).kombu_uri())

    assert type(connection.transport) is transport
    assert bool(connection.ssl) is (transport is TlsTransport)
