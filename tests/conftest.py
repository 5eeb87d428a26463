"""The fixtures that all tests share: a RabbitMQ for the session, a virtual host for a test."""

import secrets
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest
import pytest_timeout

from tests.certificates import Authority, Certificate
from tests.external_server import ExternalServer
from tests.faults.proxy import Proxy
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer, with_vhost

REARM = 1


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


@pytest.fixture
def proxy(vhost_uri: str) -> Iterator[Proxy]:
    """A proxy before that virtual host, that can do what networks do."""
    with Proxy(vhost_uri) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that issues certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    """A certificate of this machine."""
    return authority.issue("server")


@pytest.hookimpl
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    """Arm the timeout of a test; called by pytest-timeout.

    In a patched process it would take its way for threads, which ends pytest at the first test
    that hangs. A signal ends the test alone.
    """

    def give_up(signum: int, frame: object) -> NoReturn:
        pytest.fail(f"{item.name} took longer than {settings.timeout} seconds")

    signal.signal(signal.SIGALRM, give_up)
    # A green thread other than the test's may have the failure thrown into it, and log it: so
    # once more, until it arrives.
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, REARM)
    return True


@pytest.hookimpl
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """Disarm the timeout of a test; called by pytest-timeout."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    return True
