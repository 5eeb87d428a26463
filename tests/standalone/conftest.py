"""A service to call, hosted in this process, on a broker of the test's own."""

import socket
from urllib.parse import unquote

import pytest

from tests.hosting import hosted
from tests.management_api import quoted
from tests.standalone.services import Fresh


@pytest.fixture
def shop(vhost_uri):
    """The class of the service; it is hosted as long as the test runs."""

    class Service(Fresh):
        pass

    with hosted({"AMQP_URI": vhost_uri}, Service):
        yield Service


@pytest.fixture
def uri(shop, vhost_uri):
    """The address of the broker on which the shop is hosted."""
    return vhost_uri


@pytest.fixture
def queues(vhost_uri, management_api):
    """A function that returns the names of the queues on the test's broker."""
    vhost = quoted(unquote(vhost_uri.rpartition("/")[2]))
    return lambda: [each["name"] for each in management_api.request("GET", f"queues/{vhost}")]


@pytest.fixture
def free_port():
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
