"""What tests ask of RabbitMQ itself."""

import socket
from urllib.parse import urlsplit

import pytest

from rpcnode.concurrency import spawn
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable
from rpcnode.testing import rabbit
from rpcnode.testing.rabbit import Client, RabbitConfig, check_reachable, find_api, make_vhost
from rpcnode.testing.utils import find_free_port


def answer_once(listener, answer):
    """Answer one request with bytes, whatever it is."""
    connection, _address = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def uri_of(listener):
    return f"http://guest:hidden@127.0.0.1:{listener.getsockname()[1]}"


def test_virtual_host_is_made_for_the_user_and_deleted(rabbit_uri, rabbit_api_uri, management_api):
    uri, delete = make_vhost(rabbit_uri, rabbit_api_uri)

    vhost = urlsplit(uri).path[1:]
    assert uri.startswith(rabbit_uri.rstrip("/"))
    assert vhost in Client(rabbit_api_uri).get_all_vhosts()
    (permission,) = management_api.request("GET", f"vhosts/{vhost}/permissions")
    assert permission["user"] == management_api.user
    assert permission["configure"] == permission["read"] == permission["write"] == ".*"
    delete()
    assert vhost not in Client(rabbit_api_uri).get_all_vhosts()


def test_virtual_host_takes_the_place_of_that_of_the_first_alternate(rabbit_api_uri):
    uri, delete = make_vhost("amqp://127.0.0.1:1/some?heartbeat=3;amqp://other", rabbit_api_uri)
    delete()

    assert uri.startswith("amqp://127.0.0.1:1/rpcnode-test-")
    assert uri.endswith("?heartbeat=3")


@pytest.mark.parametrize(
    ("uri", "vhost", "username"),
    [
        ("amqp://ada:secret@host:5672/shop", "shop", "ada"),
        ("amqp://a%40b:secret@host/a%2Fb;amqp://other/c", "a/b", "a@b"),
        ("amqp://host//", "/", "guest"),
        ("amqp://host", "/", "guest"),
    ],
)
def test_configuration_tells_virtual_host_and_user(uri, vhost, username):
    config = RabbitConfig(uri)

    assert (config["vhost"], config["username"]) == (vhost, username)
    assert config == {"AMQP_URI": uri}
    with pytest.raises(KeyError, match="VHOST"):
        config["VHOST"]


def test_names_with_odd_characters_are_kept(rabbit_api_uri):
    client = Client(rabbit_api_uri)

    client.create_vhost("a/b c%")
    assert "a/b c%" in client.get_all_vhosts()
    client.delete_vhost("a/b c%")
    assert "a/b c%" not in client.get_all_vhosts()


def test_wrong_password_is_refused_without_being_shown(rabbit_api_uri):
    wrong = urlsplit(rabbit_api_uri)._replace(
        netloc=f"guest:hidden@{rabbit_api_uri.rpartition('@')[2]}"
    )

    with pytest.raises(BrokerRefused, match=r"GET vhosts at http.* 401 Unauthorized") as caught:
        Client(wrong.geturl()).get_all_vhosts()

    assert "hidden" not in str(caught.value)


def test_nobody_there_is_said_without_the_password():
    with pytest.raises(BrokerUnavailable, match="no management API at http") as caught:
        Client(f"http://guest:hidden@127.0.0.1:{find_free_port()}").get_all_vhosts()

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"220 mail.example.com ESMTP\r\n",
        b"",
    ],
)
def test_something_else_that_answers_is_no_management_api(listener, answer):
    spawn(answer_once, listener, answer)

    with pytest.raises(BrokerUnavailable, match="management API"):
        Client(uri_of(listener)).get_all_vhosts()


def test_broker_is_reachable(rabbit_uri):
    check_reachable(rabbit_uri)
    check_reachable(f"{rabbit_uri};amqp://127.0.0.1:1")


def test_broker_is_not_reachable():
    uri = f"amqp://guest:hidden@127.0.0.1:{find_free_port()}//"

    with pytest.raises(BrokerUnavailable, match=r"no RabbitMQ at amqp://guest:\*+@127") as caught:
        check_reachable(uri)

    assert "hidden" not in str(caught.value)


def test_management_api_beside_the_broker_is_found(rabbit_uri, rabbit_api_uri, monkeypatch):
    monkeypatch.setattr(rabbit, "API_PORT", urlsplit(rabbit_api_uri).port)

    assert find_api(rabbit_uri) == rabbit_api_uri


def test_management_api_that_is_not_there_or_refuses_us_is_not_found(rabbit_api_uri, monkeypatch):
    monkeypatch.setattr(rabbit, "API_PORT", find_free_port())
    assert find_api("amqp://127.0.0.1") is None

    monkeypatch.setattr(rabbit, "API_PORT", urlsplit(rabbit_api_uri).port)
    assert find_api("amqp://guest:wrong@127.0.0.1") is None
