"""The pytest plugin: it hosts services for a test, and gives it a broker of its own.

It is loaded into every run of pytest on the machine, so it does nothing until a fixture is
used, and lies outside `rpcnode.testing`, whose helpers need more than that. What a fixture
needs is imported in it: the user's `conftest.py` must have patched before.
"""

# ruff: noqa: PLC0415 (imports in functions: see above)

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rpcnode.containers import ServiceContainer
    from rpcnode.runners import ServiceRunner
    from rpcnode.testing.http import HttpClient

logger = logging.getLogger(__name__)

URI_VARIABLE = "RPCNODE_TEST_AMQP_URI"
API_URI_VARIABLE = "RPCNODE_TEST_API_URI"
DEFAULT_URI = "amqp://guest:guest@localhost:5672/"
WAYS_OUT = (
    f"start a RabbitMQ there, name another one (--amqp-uri, or {URI_VARIABLE} in the environment), "
    "or test on the embedded broker: `memory_config` instead of `rabbit_config`"
)
API_WAYS_OUT = (
    f"name another one (--rabbit-api-uri, or {API_URI_VARIABLE} in the environment), or none: "
    "without it, tests use the virtual host of the AMQP URI"
)


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
        dest="RABBIT_API_URI",
        metavar="URI",
        help="its management HTTP API, for a virtual host per test "
        f"(default: {API_URI_VARIABLE}, else port 15672 of the same host if it answers)",
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
        container.resources = CheckedResources(container.config, _failure)
        _rpcnode_hosts.append(container)
        _rpcnode_cleanup.callback(_quietly, container.kill)
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
        runner.resources = CheckedResources(runner.config, _failure)
        _rpcnode_hosts.append(runner)
        for service_cls in services:
            runner.add_service(service_cls)
        _rpcnode_cleanup.callback(_quietly, runner.kill)
        return runner

    return make


@pytest.fixture
def memory_config(_rpcnode_cleanup: ExitStack) -> dict[str, Any]:
    """Return a configuration with an embedded broker that no other test uses."""
    from rpcnode.amqp.memory import reset

    uri = f"memory://test-{secrets.token_hex(8)}"
    _rpcnode_cleanup.callback(_quietly, reset, uri)
    return {"AMQP_URI": uri}


@pytest.fixture(scope="session")
def rabbit_uri(pytestconfig: pytest.Config) -> str:
    """Return the AMQP URI of the RabbitMQ to test with; override it as you like."""
    given: str | None = pytestconfig.getoption("RABBIT_AMQP_URI", None)
    return given or os.environ.get(URI_VARIABLE) or DEFAULT_URI


@pytest.fixture(scope="session")
def rabbit_api_uri(pytestconfig: pytest.Config, rabbit_uri: str) -> str | None:
    """Return the URI of its management API, None where there is none; override it as you like."""
    from rpcnode.testing.rabbit import find_api

    given: str | None = pytestconfig.getoption("RABBIT_API_URI", None)
    return given or os.environ.get(API_URI_VARIABLE) or find_api(rabbit_uri)


@pytest.fixture
def rabbit_config(
    rabbit_uri: str, rabbit_api_uri: str | None, _rpcnode_cleanup: ExitStack
) -> dict[str, Any]:
    """Return a configuration with a RabbitMQ, and a virtual host that no other test uses.

    Without a management API it is the virtual host of the AMQP URI. `rabbit_config["vhost"]`
    is its name, `rabbit_config["username"]` that of the user.
    """
    from rpcnode.exceptions import BrokerError
    from rpcnode.testing.rabbit import RabbitConfig, check_reachable, make_vhost

    try:
        check_reachable(rabbit_uri)
    except BrokerError as exc:
        raise _failure(f"{exc}; {WAYS_OUT}") from None
    if rabbit_api_uri is None:
        return RabbitConfig(rabbit_uri)
    try:
        uri, delete = make_vhost(rabbit_uri, rabbit_api_uri)
    except BrokerError as exc:
        raise _failure(f"{exc}; {API_WAYS_OUT}") from None
    _rpcnode_cleanup.callback(_quietly, delete)
    return RabbitConfig(uri)


@pytest.fixture
def amqp_uri(rabbit_config: dict[str, Any]) -> str:
    """Return the AMQP URI of `rabbit_config`, for what is no service."""
    uri: str = rabbit_config["AMQP_URI"]
    return uri


@pytest.fixture
def empty_config() -> dict[str, Any]:
    """Return a configuration that sets nothing, for services that need no broker."""
    return {}


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
def _rpcnode_cleanup() -> Iterator[ExitStack]:
    # One stack for all fixtures: what uses a broker was made after it, whatever the order of the
    # fixtures in the test's signature, and so ends before it.
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def _rpcnode_hosts() -> list[Any]:
    # The containers and runners of a test, for whoever looks for them later.
    return []


def _failure(text: str) -> BaseException:
    return pytest.fail.Exception(text, pytrace=False)


def _quietly(end: Callable[..., object], *args: Any) -> None:
    try:
        end(*args)
    except Exception:  # the test has its outcome; the other things must end as well
        logger.warning("the cleanup after a test failed", exc_info=True)
