"""The client of RabbitMQ's management API that the tests steer their broker with."""

import secrets
import time

import kombu
import pytest

from tests.management_api import ManagementApi
from tests.rabbitmq_server import with_vhost


def test_vhost_exists_from_its_creation_to_its_deletion(
    rabbit_uri: str, management_api: ManagementApi
) -> None:
    name = f"a/b {secrets.token_hex(4)}"

    management_api.create_vhost(name)
    with kombu.Connection(with_vhost(rabbit_uri, name)) as connection:
        connection.SimpleQueue("letters").put("hello")
    management_api.delete_vhost(name)

    assert name not in [vhost["name"] for vhost in management_api.request("GET", "vhosts")]


def test_what_fails_is_named_with_its_status(management_api: ManagementApi) -> None:
    with pytest.raises(OSError, match="DELETE /api/vhosts/nowhere: 404"):
        management_api.delete_vhost("nowhere")


def test_wrong_password_is_refused(rabbit_api_uri: str) -> None:
    wrong = ManagementApi(rabbit_api_uri.replace(":guest@", ":wrong@"))

    with pytest.raises(OSError, match="401"):
        wrong.connections()


def test_broker_closes_a_connection_on_demand(
    vhost_uri: str, management_api: ManagementApi
) -> None:
    connection = kombu.Connection(vhost_uri)
    connection.connect()
    name = name_of(connection)
    wait_until_known(management_api, name)

    management_api.close_connection(name)

    with pytest.raises(connection.connection_errors):
        connection.drain_events(timeout=5)


def name_of(connection: kombu.Connection) -> str:
    """Return the broker's name of a connection: our address, then its own."""
    sock = connection.connection.transport.sock
    here, there = (f"{host}:{port}" for host, port in (sock.getsockname(), sock.getpeername()))
    return f"{here} -> {there}"


def wait_until_known(management_api: ManagementApi, name: str) -> None:
    # The statistics lag behind.
    deadline = time.monotonic() + 10
    while name not in management_api.connections():
        assert time.monotonic() < deadline, f"the broker does not know {name}"
        time.sleep(0.05)
