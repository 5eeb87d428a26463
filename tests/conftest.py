"""The fixtures that all tests share: a RabbitMQ for the session, a virtual host for a test."""

import secrets
from collections.abc import Iterator

import pytest

from tests.external_server import ExternalServer
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer, with_vhost


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer | ExternalServer]:
    """The server that `RPCNODE_TEST_AMQP_URI` names, else one that we start."""
    external = ExternalServer.from_environment()
    if external is not None:
        yield external
        return
    server = RabbitServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbit_uri(rabbit_server: RabbitServer | ExternalServer) -> str:
    """The AMQP URI of the tests' RabbitMQ; takes the place of the public plugin's fixture."""
    return rabbit_server.uri


@pytest.fixture(scope="session")
def rabbit_api_uri(rabbit_server: RabbitServer | ExternalServer) -> str:
    """The URI of its management API; takes the place of the public plugin's fixture."""
    return rabbit_server.api_uri


@pytest.fixture(scope="session")
def management_api(rabbit_api_uri: str) -> ManagementApi:
    """A client of the management API, to look at the broker and to close its connections."""
    return ManagementApi(rabbit_api_uri)


@pytest.fixture
def vhost_uri(rabbit_uri: str, management_api: ManagementApi) -> Iterator[str]:
    """The AMQP URI of a fresh virtual host, deleted after the test."""
    name = f"test-{secrets.token_hex(4)}"
    management_api.create_vhost(name)
    yield with_vhost(rabbit_uri, name)
    management_api.delete_vhost(name)
