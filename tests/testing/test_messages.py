"""Messages that a test takes out of queues."""

import queue

import pytest
from kombu import Exchange, Queue

from rpcnode.concurrency import call_later, spawn
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable
from rpcnode.messaging import Publisher
from rpcnode.testing import dummy, entrypoint_hook, messages
from rpcnode.testing.messages import message_from_queue
from rpcnode.testing.utils import find_free_port

INBOX = Queue("inbox", Exchange("letters", type="direct"), routing_key="inbox")


class Service:
    name = "service"
    publish = Publisher(exchange=INBOX.exchange, declare=[INBOX], routing_key="inbox")

    @dummy
    def send(self, payload, **options):
        self.publish(payload, **options)


@pytest.fixture(params=["embedded", "rabbitmq"])
def uri(request):
    config = "memory_config" if request.param == "embedded" else "rabbit_config"
    return request.getfixturevalue(config)["AMQP_URI"]


@pytest.fixture
def send(container_factory, uri):
    container = container_factory(Service, {"AMQP_URI": uri})
    container.start()
    with entrypoint_hook(container, "send", {"language": "de"}) as hook:
        yield hook


def test_message_is_taken_out_of_its_queue(send, uri):
    send({"a": 1})

    message = message_from_queue(uri, "inbox")

    assert message.payload == {"a": 1}
    assert message.headers["nameko.language"] == "de"
    assert message.properties["app_id"] == "service"
    assert message.delivery_info["routing_key"] == "inbox"
    with pytest.raises(queue.Empty, match="no message came into queue 'inbox'"):
        message_from_queue(uri, "inbox", block=False)


def test_message_that_is_not_acked_is_still_there(send, uri):
    send("text")

    first = message_from_queue(uri, "inbox", ack=False)
    second = message_from_queue(uri, "inbox", block=False)

    assert (first.payload, second.payload) == ("text", "text")


def test_message_is_waited_for(send, uri):
    call_later(0.1, lambda: spawn(send, "late"))

    assert message_from_queue(uri, "inbox", timeout=10).payload == "late"


def test_waiting_ends_after_the_timeout(send, uri):
    with pytest.raises(queue.Empty, match=r"within 0\.05 seconds"):
        message_from_queue(uri, "inbox", timeout=0.05)


def test_queue_that_is_not_there_is_named(send, uri):
    with pytest.raises(BrokerRefused, match="the queue 'outbox'"):
        message_from_queue(uri, "outbox")


def test_message_of_another_content_type_is_read_when_it_is_accepted(send, uri):
    send("text", serializer="msgpack")

    message = message_from_queue(uri, "inbox", accept=["msgpack"])

    assert message.payload == "text"


def test_broker_that_is_away_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(messages, "PATIENCE", 0.2)

    with pytest.raises(BrokerUnavailable, match=r"amqp://guest:\*+@127") as caught:
        message_from_queue(f"amqp://guest:hidden@127.0.0.1:{find_free_port()}/", "inbox")

    assert "hidden" not in str(caught.value)
