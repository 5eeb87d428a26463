"""The pytest plugin: it hosts services for a test, and gives it a broker of its own.

It is loaded into every run of pytest on the machine, so it does nothing until a fixture is
used, and lies outside `rpcnode.testing`, whose helpers need more than that. What a fixture
needs is imported in it: the user's `conftest.py` must have patched before.
"""

# ruff: noqa: PLC0415 (imports in functions: see above)

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rpcnode.containers import ServiceContainer
    from rpcnode.hubwatch import HubWatch
    from rpcnode.runners import ServiceRunner
    from rpcnode.testing.http import HttpClient

logger = logging.getLogger(__name__)

pytest_plugins = ["rpcnode.pytest_rabbit"]  # the fixtures for RabbitMQ

URI_VARIABLE = "RPCNODE_TEST_AMQP_URI"
API_URI_VARIABLE = "RPCNODE_TEST_API_URI"
DEFAULT_URI = "amqp://guest:guest@localhost:5672/"
SSL_PORT = 5671


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options that tell where RabbitMQ is."""
    if find_spec("nameko") is not None and not pluginmanager.is_blocked("pytest_nameko"):
        return  # its plugin brings the same options; a second one would end pytest
    group = parser.getgroup("rpcnode", "rpcnode: services under test")
    group.addoption(
        "--amqp-uri",
        "--rabbit-amqp-uri",
        dest="RABBIT_AMQP_URI",
        metavar="URI",
        help=f"RabbitMQ for rabbit_config (default: {URI_VARIABLE}, else {DEFAULT_URI})",
    )
    group.addoption(
        "--rabbit-api-uri",
        "--rabbit-ctl-uri",
        dest="RABBIT_API_URI",
        metavar="URI",
        help="its management HTTP API, for a virtual host per test "
        f"(default: {API_URI_VARIABLE}, else port 15672 of the same host if it answers)",
    )
    group.addoption(
        "--amqp-ssl-port",
        dest="AMQP_SSL_PORT",
        metavar="PORT",
        type=int,
        default=SSL_PORT,
        help=f"its port for TLS, for rabbit_ssl_config (default: {SSL_PORT})",
    )
    group.addoption(
        "--amqp-ssl-option",
        dest="RPCNODE_SSL_OPTIONS",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="an option of AMQP_SSL for rabbit_ssl_config, the value in YAML; may be repeated",
    )
    group.addoption(
        "--blocking-detection",
        dest="BLOCKING_DETECTION",
        action="store_true",
        help="log who keeps green threads from running, also where there is no broker",
    )
    group.addoption(
        "--suppress-rpcnode-eventlet-notification",
        "--suppress-nameko-eventlet-notification",
        dest="SUPPRESS_NOTIFICATION",
        action="store_true",
        help="does nothing: there is no such notification",
    )


@pytest.fixture
def container_factory(
    _rpcnode_cleanup: ExitStack, _rpcnode_hosts: list[Any]
) -> Callable[..., "ServiceContainer"]:
    """Return a function that makes containers: `container_factory(service_cls, config)`.

    The test starts them; they are killed after it. A start fails when the service needs a
    broker and the configuration names none, or one that does not let us in within seconds.
    """
    from rpcnode.containers import get_container_cls
    from rpcnode.testing.broker_check import CheckedResources

    def make(service_cls: type, config: Mapping[str, Any] | None = None) -> "ServiceContainer":
        container = get_container_cls(config)(service_cls, config)
        container.resources = CheckedResources(container.config, failure)
        _rpcnode_hosts.append(container)
        _rpcnode_cleanup.callback(quietly, container.kill)
        return container

    return make


@pytest.fixture
def runner_factory(
    _rpcnode_cleanup: ExitStack, _rpcnode_hosts: list[Any]
) -> Callable[..., "ServiceRunner"]:
    """Return a function that makes runners: `runner_factory(config, *services)`.

    The configuration may be left out. The test starts them, which fails as it does for
    `container_factory`; they are killed after it.
    """
    from rpcnode.runners import ServiceRunner
    from rpcnode.testing.broker_check import CheckedResources

    def make(*config_and_services: Any) -> "ServiceRunner":
        first, *others = config_and_services or (None,)
        config, services = (None, [first, *others]) if isinstance(first, type) else (first, others)
        runner = ServiceRunner(config)
        runner.resources = CheckedResources(runner.config, failure)
        _rpcnode_hosts.append(runner)
        for service_cls in services:
            runner.add_service(service_cls)
        _rpcnode_cleanup.callback(quietly, runner.kill)
        return runner

    return make


@pytest.fixture
def memory_config(_rpcnode_cleanup: ExitStack) -> dict[str, Any]:
    """Return a configuration with an embedded broker that no other test uses."""
    from rpcnode.amqp.memory import reset

    uri = f"memory://test-{secrets.token_hex(8)}"
    _rpcnode_cleanup.callback(quietly, reset, uri)
    return {"AMQP_URI": uri}


@pytest.fixture
def empty_config() -> dict[str, Any]:
    """Return a configuration that sets nothing, for services that need no broker."""
    return {}


@pytest.fixture
def mock_container() -> Any:
    """Return a mock of a container, for tests of an extension that is bound to it."""
    from rpcnode.testing.mocks import mock_of_container

    return mock_of_container()


@pytest.fixture
def web_config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a configuration for services with HTTP: no port, or that of `web_config_port`.

    It opens a port, on the loopback interface, only in tests that have `web_config_port`.
    """
    if "web_config_port" not in request.fixturenames:
        return {"WEB_SERVER_ADDRESS": None}
    port: int = request.getfixturevalue("web_config_port")
    return {"WEB_SERVER_ADDRESS": f"127.0.0.1:{port}"}


@pytest.fixture
def web_config_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    from rpcnode.testing.utils import find_free_port

    return find_free_port()


@pytest.fixture
def web_session(_rpcnode_hosts: list[Any]) -> "HttpClient":
    """Return a client of the services that `container_factory` or `runner_factory` made.

    It needs no port.
    """
    from rpcnode.testing.http import HttpClient

    return HttpClient(_rpcnode_hosts)


@pytest.fixture
def predictable_call_ids() -> Iterator[Any]:
    """Let calls have the unique ids "0", "1", ...; return the mock that gives them."""
    from rpcnode.testing.mocks import counted_call_ids

    with counted_call_ids() as new_call_id:
        yield new_call_id


@pytest.fixture
def fast_teardown() -> None:
    """Do nothing: what a test made ends fast, in the right order, in any case."""


@pytest.fixture
def _rpcnode_cleanup() -> Iterator[ExitStack]:
    # One stack for all fixtures: what uses a broker was made after it, whatever the order of the
    # fixtures in the test's signature, and so ends before it.
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def _rpcnode_hosts(pytestconfig: pytest.Config, _rpcnode_cleanup: ExitStack) -> list[Any]:
    # The containers and runners of a test, for whoever looks for them later.
    if pytestconfig.getoption("BLOCKING_DETECTION", False):
        _rpcnode_cleanup.callback(quietly, _watched_hub().stop)
    return []


def _watched_hub() -> "HubWatch":
    from rpcnode.hubwatch import HubWatch

    watch = HubWatch()
    watch.start()
    return watch


def failure(text: str) -> BaseException:
    """Return the error that ends a test with one line."""
    return pytest.fail.Exception(text, pytrace=False)


def quietly(end: Callable[..., object], *args: Any) -> None:
    """Call something at the end of a test; an error is logged."""
    try:
        end(*args)
    except Exception:  # the test has its outcome; the other things must end as well
        logger.warning("the cleanup after a test failed", exc_info=True)
