"""The brokers that the tests of extensions run on: the embedded one, and RabbitMQ."""

import secrets

import pytest

from rpcnode.amqp.memory import reset
from rpcnode.testing.http import HttpClient


@pytest.fixture(params=["embedded", "rabbitmq"])
def config(request):
    """A configuration for a broker of the test's own; what a test adds is in force."""
    if request.param == "rabbitmq":
        yield {"AMQP_URI": request.getfixturevalue("vhost_uri")}
        return
    uri = f"memory://test-{secrets.token_hex(4)}"
    yield {"AMQP_URI": uri}
    reset(uri)


class HostedClient(HttpClient):
    """A client of one container."""

    def __init__(self, container):
        super().__init__(container)
        self.container = container


@pytest.fixture
def host(container_factory, web_config):
    """Return a function that hosts a service without a port, and returns a client of it."""

    def start(service, **config):
        container = container_factory(service, {**web_config, **config})
        container.start()
        return HostedClient(container)

    return start
