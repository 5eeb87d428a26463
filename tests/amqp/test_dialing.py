"""From settings to a connection that is not established yet."""

import pytest

from rpcnode.amqp.dialing import kombu_connection
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.amqp.transport import Transport
from rpcnode.concurrency import socket
from rpcnode.exceptions import ConfigurationError


def dialled(uri="amqp://guest:guest@127.0.0.1:1//", **settings):
    return kombu_connection(BrokerSettings(uri, **settings), print, repr)


@pytest.mark.parametrize(("seconds", "asked_for"), [(60, 60), (0.5, 1), (None, 0), (0, 0)])
def test_heartbeat_is_asked_for_in_whole_seconds(seconds, asked_for):
    assert dialled(heartbeat=seconds).heartbeat == asked_for


def test_settings_reach_kombu():
    options = {"frame_max": 5000, "socket_settings": {socket.TCP_KEEPCNT: 3}}

    connection = dialled(connect_timeout=7, login_method="AMQPLAIN", transport_options=options)

    assert type(connection.transport) is Transport
    assert (connection.connect_timeout, connection.login_method) == (7, "AMQPLAIN")
    assert connection.transport_options == {
        "frame_max": 5000,
        "socket_settings": {socket.TCP_USER_TIMEOUT: 0, socket.TCP_KEEPCNT: 3},
        "on_blocked": print,
        "on_unblocked": repr,
        "fast_path": True,
    }
    assert "on_blocked" not in options


def test_other_transports_get_their_own_options_only():
    connection = dialled("filesystem://", transport_options={"polling_interval": 0.5})

    assert connection.transport_options == {"polling_interval": 0.5}


def test_certificate_is_compared_with_the_name_in_the_address():
    connection = dialled("amqps://localhost:1")

    assert connection.ssl.args[1] == "localhost"
    assert connection.transport.default_connection_params["port"] == 5671


def test_certificate_is_compared_with_the_name_in_the_options():
    connection = dialled("amqp://guest@10.0.0.1:1", ssl={"server_hostname": "broker.example"})

    assert connection.ssl.args[1] == "broker.example"


def test_options_of_tls_in_the_address_are_an_error_instead_of_being_ignored():
    with pytest.raises(ConfigurationError, match="belong into AMQP_SSL"):
        dialled("amqp://host?ssl_ca_certs=/etc/ca.pem")
