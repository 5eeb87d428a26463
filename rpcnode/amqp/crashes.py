"""Crashes: how often a message came back because nobody settled it, and the copy that says so.

A message that ends its process each time comes back for ever. Quorum queues count that in a
header; for others a copy of the message carries the count, in a header of its own.
"""

import time
from typing import Any

from rpcnode.amqp.copies import (
    ATTEMPTS,
    NOT_AFTER,
    copied_headers,
    copied_properties,
    history_of,
    not_after,
    origin_of,
)
from rpcnode.amqp.message import PERSISTENT, REDELIVERIES, Delivery, Outgoing

DELIVERY_COUNT = "x-delivery-count"  # the header of quorum queues


def redeliveries_of(delivery: Delivery) -> int:
    """Return how often the message came back, in all its copies."""
    earlier = _number(delivery.headers.get(REDELIVERIES))
    if is_counted(delivery):
        return earlier + _number(delivery.headers[DELIVERY_COUNT])
    return earlier + delivery.is_redelivery


def is_counted(delivery: Delivery) -> bool:
    """Return whether the queue itself counts how often a message comes back."""
    return DELIVERY_COUNT in delivery.headers


def copy_for_queue(delivery: Delivery) -> Outgoing:
    """Return a copy of the delivery for its own queue, straight, so that nobody else gets it.

    It expires when the message would have.
    """
    properties, headers = copied_properties(delivery, "copy"), copied_headers(delivery)
    properties["delivery_mode"] = delivery.properties.get("delivery_mode", PERSISTENT)
    exchange, key = origin_of(delivery)
    headers["rpcnode-origin-exchange"], headers["rpcnode-origin-key"] = exchange, key
    now = round(time.time() * 1000)
    ends = not_after(delivery, now)
    if ends is not None:
        properties["expiration"] = str(max(1, ends - now))
        headers[ATTEMPTS], headers[NOT_AFTER] = history_of(delivery).attempts, ends
    return Outgoing("", delivery.queue, delivery.body, properties, headers, mandatory=True)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
