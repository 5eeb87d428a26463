"""Messages whose properties no client library would write."""

import struct

import amqp
import kombu
import pytest

from rpcnode.events import event_handler
from rpcnode.rpc import rpc
from tests.hosting import hosted, take, wait_until

KEY_THAT_IS_NO_TEXT = struct.pack(">H", 0x2000) + struct.pack(">I", 9) + b"\2\xff\xfeS\0\0\0\1a"
ID_THAT_IS_NO_TEXT = struct.pack(">H", 0x8080) + b"\x10application/json" + b"\2\xff\xff"


class Raw(amqp.Message):
    """A message whose properties are these bytes."""

    def __init__(self, body, encoded):
        super().__init__(body)
        self.encoded = encoded

    def _serialize_properties(self):
        return self.encoded


@pytest.fixture
def send(vhost_uri):
    """Return a function that publishes bytes as they are."""
    with kombu.Connection(vhost_uri) as connection:
        channel = connection.channel()
        yield lambda exchange, key, body, encoded: channel.basic_publish(
            Raw(body, encoded), exchange, key
        )


def make_service(got):
    class Service:
        name = "service"

        @rpc
        def method(self, value):
            got.append(value)

        @event_handler("caller", "placed")
        def handle(self, payload):
            got.append(payload)
            if payload == "bad":
                raise ValueError("boom")

    return Service


def test_header_whose_name_is_no_text_does_no_harm(vhost_uri, send):
    got = []
    with hosted({"AMQP_URI": vhost_uri}, make_service(got)) as services:
        send(
            "nameko-rpc", "service.method", b'{"args": ["call"], "kwargs": {}}', KEY_THAT_IS_NO_TEXT
        )
        send("caller.events", "placed", b'"event"', KEY_THAT_IS_NO_TEXT)
        send("caller.events", "placed", b'"bad"', KEY_THAT_IS_NO_TEXT)

        wait_until(lambda: sorted(got) == ["bad", "call", "event"])
        dead = take(services, "evt-caller-placed--service.handle.dead")
    assert dead.body == b'"bad"'


def test_properties_that_cannot_be_read_send_a_message_to_the_dead_queue(vhost_uri, send):
    got = []
    with hosted({"AMQP_URI": vhost_uri}, make_service(got)) as services:
        send("nameko-rpc", "service.method", b'{"args": [1], "kwargs": {}}', ID_THAT_IS_NO_TEXT)
        send("caller.events", "placed", b"1", ID_THAT_IS_NO_TEXT)

        for queue in ("rpc-service.dead", "evt-caller-placed--service.handle.dead"):
            headers = take(services, queue).properties["application_headers"]
            assert headers["rpcnode-dead-reason"] == "undecodable"
            assert "the properties cannot be read" in headers["rpcnode-exc-message"]
        services.rpc.service.method("alive")
    assert got == ["alive"]
