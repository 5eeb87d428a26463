"""The brokers that the conformance tests run on, the embedded one and RabbitMQ; their clients."""

import secrets

import pytest

from rpcnode.amqp.memory import reset
from tests.amqp.broker import linked
from tests.amqp.conformance import Client


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker_uri(request):
    """The URI of a broker, or virtual host, that is the test's own."""
    if request.param == "rabbitmq":
        yield request.getfixturevalue("vhost_uri")
        return
    uri = f"memory://test-{secrets.token_hex(4)}/vhost"
    yield uri
    reset(uri)


@pytest.fixture
def new_client(broker_uri):
    """Makes clients of the broker, each with a connection of its own; closed after the test."""
    clients = []

    def make():
        client = Client(broker_uri)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(new_client):
    """A client of the broker."""
    return new_client()


@pytest.fixture
def link(vhost_uri):
    """A link to RabbitMQ."""
    with linked(vhost_uri) as link:
        yield link


@pytest.fixture
def any_link(broker_uri):
    """A link to RabbitMQ, and one to the embedded broker."""
    with linked(broker_uri) as link:
        yield link
