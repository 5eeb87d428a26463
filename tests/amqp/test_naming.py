"""The names on the wire are Nameko's."""

import pytest

from rpcnode.amqp import naming
from rpcnode.exceptions import ConfigurationError


def test_rpc_names_are_namekos():
    assert naming.rpc_queue("orders") == "rpc-orders"
    assert naming.rpc_binding("orders") == "orders.*"
    assert naming.rpc_routing_key("orders", "place") == "orders.place"
    assert naming.reply_queue("orders", "1234") == "rpc.reply-orders-1234"


def test_event_names_are_namekos():
    assert naming.event_exchange("orders") == "orders.events"
    assert naming.event_queue("orders", "placed", "mailer.send") == (
        "evt-orders-placed--mailer.send"
    )
    assert naming.event_queue("orders", "placed") == "evt-orders-placed"
    assert naming.event_queue("orders", "placed", "mailer.send", "77") == (
        "evt-orders-placed--mailer.send-77"
    )


def test_dead_queue_is_named_after_its_queue():
    assert naming.dead_queue("rpc-orders") == "rpc-orders.dead"


def test_name_that_fits_is_returned():
    assert naming.checked("é" * 100) == "é" * 100


def test_name_that_is_too_long_for_a_broker_is_refused_by_its_bytes():
    with pytest.raises(ConfigurationError, match="has 202 bytes, more than the 200 that fit"):
        naming.checked("é" * 101)
