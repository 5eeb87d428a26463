"""Messages as they leave and as they arrive."""

from types import SimpleNamespace

from rpcnode.amqp.message import Delivery, Outgoing


def delivery(settle=lambda *_args: None, **properties):
    info = {"delivery_tag": 3, "redelivered": True, "exchange": "x", "routing_key": "k"}
    message = SimpleNamespace(
        body=b"body", properties=properties, delivery_info=info, channel="channel"
    )
    return Delivery(message, "queue", settle)


def test_outgoing_message_knows_its_id():
    message = Outgoing("x", "k", b"", {"message_id": "m-1"})

    assert message.id == "m-1"
    assert message.headers == {}
    assert not message.mandatory


def test_delivery_tells_what_was_delivered():
    received = delivery(message_id="m", timestamp=17, application_headers={"h": 1})

    assert (received.body, received.queue, received.channel) == (b"body", "queue", "channel")
    assert (received.exchange, received.routing_key, received.tag) == ("x", "k", 3)
    assert (received.id, received.published, received.redelivered) == ("m", 17, True)
    assert received.headers == {"h": 1}
    assert received.properties == {"message_id": "m", "timestamp": 17}
    assert received.problem is None


def test_delivery_without_properties_has_no_id_and_no_headers():
    received = delivery()

    assert (received.id, received.published, received.headers) == (None, None, {})


def test_delivery_is_settled_once():
    settled = []
    received = delivery(lambda *args: settled.append(args))

    received.ack()
    received.ack()
    received.requeue()

    assert settled == [(received, False)]
    assert received.is_settled


def test_delivery_that_goes_back_says_so():
    settled = []
    received = delivery(lambda *args: settled.append(args))

    received.requeue()

    assert settled == [(received, True)]
