"""The brokers that the tests of extensions run on: the embedded one, and RabbitMQ."""

import secrets

import pytest

from rpcnode.amqp.memory import reset


@pytest.fixture(params=["embedded", "rabbitmq"])
def config(request):
    """A configuration for a broker of the test's own; what a test adds is in force."""
    if request.param == "rabbitmq":
        yield {"AMQP_URI": request.getfixturevalue("vhost_uri")}
        return
    uri = f"memory://test-{secrets.token_hex(4)}"
    yield {"AMQP_URI": uri}
    reset(uri)
