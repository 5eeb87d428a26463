"""The part of the pytest plugin that is about RabbitMQ; see `rpcnode.pytest_plugin`."""

# ruff: noqa: PLC0415 (imports in functions: what a fixture needs, the patch must precede)

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rpcnode.pytest_plugin import (
    API_URI_VARIABLE,
    DEFAULT_URI,
    SSL_PORT,
    URI_VARIABLE,
    failure,
    quietly,
)

if TYPE_CHECKING:
    from rpcnode.testing.pipeline import ResourcePipeline
    from rpcnode.testing.rabbit import Client

WAYS_OUT = (
    f"start a RabbitMQ there, name another one (--amqp-uri, or {URI_VARIABLE} in the environment), "
    "or test on the embedded broker: `memory_config` instead of `rabbit_config`"
)
API_OPTION = f"--rabbit-api-uri, or {API_URI_VARIABLE} in the environment"
API_WAYS_OUT = (
    f"name another one ({API_OPTION}), or none: "
    "without it, tests use the virtual host of the AMQP URI"
)
API_WANTED = f"start RabbitMQ's management plugin, or name the API ({API_OPTION})"
CERTIFICATES = {
    "ca_certs": "certs/cacert.pem",
    "certfile": "certs/clientcert.pem",
    "keyfile": "certs/clientkey.pem",
}


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
        raise failure(f"{exc}; {WAYS_OUT}") from None
    if rabbit_api_uri is None:
        return RabbitConfig(rabbit_uri)
    try:
        uri, delete = make_vhost(rabbit_uri, rabbit_api_uri)
    except BrokerError as exc:
        raise failure(f"{exc}; {API_WAYS_OUT}") from None
    _rpcnode_cleanup.callback(quietly, delete)
    return RabbitConfig(uri)


@pytest.fixture
def amqp_uri(rabbit_config: dict[str, Any]) -> str:
    """Return the AMQP URI of `rabbit_config`, for what is no service."""
    uri: str = rabbit_config["AMQP_URI"]
    return uri


@pytest.fixture(scope="session")
def rabbit_manager(rabbit_uri: str, rabbit_api_uri: str | None) -> "Client":
    """Return a client of the management API, to look at RabbitMQ and to change things there."""
    from rpcnode.config import mask_uri
    from rpcnode.exceptions import BrokerError
    from rpcnode.testing.rabbit import Client

    if rabbit_api_uri is None:
        raise failure(f"no management API beside {mask_uri(rabbit_uri)}; {API_WANTED}")
    client = Client(rabbit_api_uri)
    try:
        client.get_all_vhosts()
    except BrokerError as exc:
        raise failure(f"{exc}; {API_WANTED}") from None
    return client


@pytest.fixture(scope="session")
def vhost_pipeline(rabbit_manager: "Client", rabbit_uri: str) -> Iterator["ResourcePipeline"]:
    """Yield virtual hosts, made ahead: `with vhost_pipeline.get() as vhost`."""
    from rpcnode.testing.pipeline import ResourcePipeline
    from rpcnode.testing.rabbit import fresh_vhost

    pipeline = ResourcePipeline(
        lambda: fresh_vhost(rabbit_manager, rabbit_uri), rabbit_manager.delete_vhost
    )
    with pipeline.run():
        yield pipeline


@pytest.fixture(scope="session")
def rabbit_ssl_options(pytestconfig: pytest.Config) -> Mapping[str, Any]:
    """Return AMQP_SSL for `rabbit_ssl_config`; override it as you like.

    These are the files in `certs` that are there, and what `--amqp-ssl-option` says.
    """
    from rpcnode.config import parse_yaml

    found = {key: path for key, path in CERTIFICATES.items() if Path(path).is_file()}
    given: list[str] = pytestconfig.getoption("RPCNODE_SSL_OPTIONS", [])
    if not (found or given):
        paths = ", ".join(CERTIFICATES.values())
        raise failure(f"no certificates ({paths}): name them with --amqp-ssl-option")
    pairs = [option.partition("=") for option in given]
    chosen = {
        key: parse_yaml(text, {}, f"--amqp-ssl-option {key}") if has_value else True
        for key, has_value, text in pairs
    }
    return {**found, "cert_reqs": "CERT_REQUIRED", **chosen}


@pytest.fixture
def rabbit_ssl_config(
    rabbit_config: dict[str, Any],
    rabbit_ssl_options: Mapping[str, Any],
    pytestconfig: pytest.Config,
) -> dict[str, Any]:
    """Return the configuration of `rabbit_config`, but over TLS."""
    from rpcnode.testing.rabbit import with_port

    port: int = pytestconfig.getoption("AMQP_SSL_PORT", SSL_PORT)
    config = rabbit_config.copy()
    config.update(AMQP_URI=with_port(config["AMQP_URI"], port), AMQP_SSL=dict(rabbit_ssl_options))
    return config


@pytest.fixture
def get_message_from_queue(amqp_uri: str) -> Callable[..., Any]:
    """Return a function that takes the next message out of a queue.

    `get_message_from_queue(queue_name, ack=True, block=True, timeout=1, accept=None)` returns it
    as kombu has it (`payload`, `headers`, `properties`), or raises `queue.Empty`. Without `ack`
    it goes back; `accept` names the content types that may be decoded, if it is not JSON.
    """
    from functools import partial

    from rpcnode.testing.messages import message_from_queue

    return partial(message_from_queue, amqp_uri)
