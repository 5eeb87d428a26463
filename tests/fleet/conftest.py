"""A fleet for each module of tests, and what its services are called through."""

import secrets

import pytest

from benchmarks.environment import NotAvailable
from benchmarks.peer import Peer
from tests.fleet.members import Fleet
from tests.hosting import hosted
from tests.rabbitmq_server import with_vhost


@pytest.fixture(scope="session")
def nameko():
    """Nameko 2 in an environment of its own; it is made where there is none."""
    peer = Peer.load("nameko")
    try:
        peer.prepare()
    except NotAvailable as exc:
        pytest.fail(f"these tests need the real Nameko, from the package index: {exc}", False)
    return peer


@pytest.fixture(scope="module")
def fleet(nameko, rabbit_uri, management_api, tmp_path_factory):
    """A fleet without members, on a virtual host of its own."""
    name = f"test-{secrets.token_hex(4)}"
    management_api.create_vhost(name)
    fleet = Fleet(with_vhost(rabbit_uri, name), tmp_path_factory.mktemp("fleet"), nameko)
    yield fleet
    fleet.close()
    management_api.delete_vhost(name)


@pytest.fixture
def services(fleet):
    """A caller of the fleet's services; it is no part of what is tested."""
    with hosted({"AMQP_URI": fleet.uri}) as services:
        yield services
