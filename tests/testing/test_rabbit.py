"""What tests ask of RabbitMQ itself."""

import socket
from urllib.parse import urlsplit

import pytest

from rpcnode import management
from rpcnode.concurrency import spawn
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable
from rpcnode.messaging import Publisher
from rpcnode.testing.rabbit import (
    Client,
    NotThere,
    RabbitConfig,
    check_reachable,
    find_api,
    make_vhost,
    with_port,
)
from rpcnode.testing.utils import (
    assert_stops_raising,
    find_free_port,
    get_rabbit_connections,
    reset_rabbit_connections,
)


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


def names(entities):
    return [entity["name"] for entity in entities]


@pytest.fixture
def client(rabbit_api_uri):
    return Client(rabbit_api_uri)


@pytest.fixture
def vhost(vhost_uri):
    return urlsplit(vhost_uri).path[1:]


def uri_of(listener):
    return f"http://guest:hidden@127.0.0.1:{listener.getsockname()[1]}"


def test_virtual_host_is_made_for_the_user_and_deleted(rabbit_uri, rabbit_api_uri, management_api):
    uri, delete = make_vhost(rabbit_uri, rabbit_api_uri)

    vhost = urlsplit(uri).path[1:]
    assert uri.startswith(rabbit_uri.rstrip("/"))
    assert vhost in names(Client(rabbit_api_uri).get_all_vhosts())
    (permission,) = management_api.request("GET", f"vhosts/{vhost}/permissions")
    assert permission["user"] == management_api.user
    assert permission["configure"] == permission["read"] == permission["write"] == ".*"
    delete()
    assert vhost not in names(Client(rabbit_api_uri).get_all_vhosts())


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
    assert (config.get("vhost"), config.get("username")) == (vhost, username)
    assert config == {"AMQP_URI": uri}
    assert config.get("VHOST", "none") == "none"
    with pytest.raises(KeyError, match="VHOST"):
        config["VHOST"]


def test_copy_of_the_configuration_tells_the_same():
    config = RabbitConfig("amqp://ada:secret@host:5672/shop")

    copy = config.copy()
    copy["MAX_WORKERS"] = 3

    assert (copy["vhost"], copy["username"]) == ("shop", "ada")
    assert config == {"AMQP_URI": copy["AMQP_URI"]}


@pytest.mark.parametrize(
    ("uri", "changed"),
    [
        ("amqp://ada:a%40b@host:5672/shop", "amqp://ada:a%40b@host:7/shop"),
        ("amqp://host/shop;amqp://other", "amqp://host:7/shop"),
        ("amqp://[::1]:5672//", "amqp://[::1]:7//"),
    ],
)
def test_port_of_an_address_is_changed(uri, changed):
    assert with_port(uri, 7) == changed


def test_names_with_odd_characters_are_kept(rabbit_api_uri):
    client = Client(rabbit_api_uri)

    client.create_vhost("a/b c%")
    assert "a/b c%" in names(client.get_all_vhosts())
    client.delete_vhost("a/b c%")
    assert "a/b c%" not in names(client.get_all_vhosts())


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


@pytest.mark.parametrize(
    "place", ["hidden@host:5:6", "hidden@host:port", "hid[den@host", "hidden/@h"]
)
def test_what_is_no_address_is_told_without_its_password(place):
    uri = f"amqp://guest:{place}/"

    with pytest.raises(BrokerUnavailable, match=r"is no address of a RabbitMQ") as caught:
        check_reachable(uri)

    assert "hid" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert find_api(uri) is None


def test_management_api_beside_the_broker_is_found(rabbit_uri, rabbit_api_uri, monkeypatch):
    monkeypatch.setattr(management, "API_PORT", urlsplit(rabbit_api_uri).port)

    assert find_api(rabbit_uri) == rabbit_api_uri


def test_management_api_that_is_not_there_or_refuses_us_is_not_found(rabbit_api_uri, monkeypatch):
    monkeypatch.setattr(management, "API_PORT", find_free_port())
    assert find_api("amqp://127.0.0.1") is None

    monkeypatch.setattr(management, "API_PORT", urlsplit(rabbit_api_uri).port)
    assert find_api("amqp://guest:wrong@127.0.0.1") is None


def test_queue_is_made_bound_and_looked_at(client, vhost):
    client.create_queue(vhost, "in/box", durable=True, arguments={"x-expires": 60_000})
    client.create_queue_binding(vhost, "amq.topic", "in/box", "letter.*")

    queue = client.get_queue(vhost, "in/box")
    assert (queue["durable"], queue["arguments"]) == (True, {"x-expires": 60_000})
    assert names(client.get_queues(vhost)) == ["in/box"]
    assert "amq.topic" in names(client.get_exchanges(vhost))
    bindings = {each["routing_key"] for each in client.get_queue_bindings(vhost, "in/box")}
    assert bindings == {"in/box", "letter.*"}


def test_messages_are_published_looked_at_and_taken(client, vhost):
    client.create_queue(vhost, "inbox", durable=True)
    client.create_queue_binding(vhost, "amq.topic", "inbox", "letter.*")

    properties = {"headers": {"language": "de"}}
    taken = client.publish(vhost, "amq.topic", "letter.big", "text", properties=properties)
    lost = client.publish(vhost, "amq.topic", "parcel", "text")
    (seen,) = client.get_messages(vhost, "inbox", requeue=True)
    (got,) = client.get_messages(vhost, "inbox", count=5)

    assert (taken, lost) == ({"routed": True}, {"routed": False})
    assert seen["payload"] == got["payload"] == "text"
    assert got["properties"] == {"headers": {"language": "de"}}
    assert client.get_messages(vhost, "inbox") == []


def test_what_is_not_there_is_named(client, vhost):
    with pytest.raises(NotThere, match=rf"GET queues/{vhost}/inbox at .*404"):
        client.get_queue(vhost, "inbox")
    with pytest.raises(NotThere, match=r"DELETE connections/nobody at .*404"):
        client.delete_connection("nobody")


def test_connections_to_a_virtual_host_are_closed(client, vhost, vhost_uri, container_factory):
    class Service:
        name = "service"
        publish = Publisher()

    container = container_factory(Service, {"AMQP_URI": vhost_uri})
    container.start()
    connection = container.subextensions[0].connection.consuming
    before = connection.generation

    def are_listed():
        assert get_rabbit_connections(vhost, client)

    def is_another():
        assert connection.is_connected
        assert connection.generation > before

    assert_stops_raising(are_listed)
    reset_rabbit_connections(vhost, client)
    assert_stops_raising(is_another)
    assert get_rabbit_connections("nowhere", client) == []
