"""What the copies of a failed message have in common, wherever they wait or end.

The headers are those of `docs/protocol.md`. Nothing here sends anything.
"""

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from rpcnode.amqp.message import PERSISTENT, Delivery

ATTEMPTS = "rpcnode-attempts"
NOT_AFTER = "rpcnode-not-after"
DELAYED = "rpcnode-delayed-ms"
ORIGIN_EXPIRATION = "rpcnode-origin-expiration"
REPLAYED, REPLAYED_AT = "rpcnode-replayed", "rpcnode-replayed-at"

# The broker's own notes on earlier deaths and copies: kept, they change where a message goes.
_STRIPPED = frozenset(("x-death", "x-delivery-count", "CC", "BCC"))
_STRIPPED_PREFIXES = ("x-first-death-", "x-last-death-")
# A user id that is not the connection's own makes the broker close the channel.
_NOT_COPIED = ("application_headers", "expiration", "user_id", "cluster_id")
_LARGEST = 2**53  # of numbers off the wire: what is added to them must still fit into a header
_LONGEST_NAME = 255  # bytes of an exchange or a routing key


class Failed(Protocol):
    """What a copy tells of a failure: see `amqp.dead.Death` and `amqp.retry.Hold`."""

    @property
    def error(self) -> BaseException:
        """What the method raised."""

    @property
    def handler(self) -> str:
        """The `service.method` that raised it."""

    @property
    def attempts(self) -> int:
        """How often it was run with the message."""


@dataclass(frozen=True, slots=True)
class History:
    """What the headers of a message tell of attempts before; times are Unix milliseconds."""

    attempts: int = 0
    first_failed: int | None = None
    delayed_ms: int = 0
    not_after: int | None = None
    last_error: str | None = None


NOTHING_BEFORE = History()


def came_back(delivery: Delivery) -> bool:
    """Return whether the headers of a copy are to be believed.

    They are where the message came through the default exchange, by the name of its queue: a
    sender who uses an exchange could have written them for queues that it does not know.
    """
    return delivery.exchange == ""


def history_of(delivery: Delivery) -> History:
    """Return what is known of attempts before."""
    headers = delivery.headers
    if not came_back(delivery) or ATTEMPTS not in headers:
        return NOTHING_BEFORE
    return History(
        _number(headers.get(ATTEMPTS)) or 0,
        _number(headers.get("rpcnode-first-failed")),
        _number(headers.get(DELAYED)) or 0,
        _number(headers.get(NOT_AFTER)),
        _last_error(headers),
    )


def origin_of(delivery: Delivery) -> tuple[str, str]:
    """Return exchange and routing key as the first sender gave them.

    A message that comes back through the default exchange has them in its headers.
    """
    exchange = delivery.headers.get("rpcnode-origin-exchange")
    key = delivery.headers.get("rpcnode-origin-key")
    if came_back(delivery) and is_name(exchange) and is_name(key):
        return exchange, key
    return delivery.exchange, delivery.routing_key


def as_published(delivery: Delivery) -> Delivery:
    """Return a delivery as it would have come from its first sender, straight."""
    exchange, key = origin_of(delivery)
    if (exchange, key) == (delivery.exchange, delivery.routing_key):
        return delivery
    original = copy(delivery)
    original.exchange, original.routing_key = exchange, key
    return original


def not_after(delivery: Delivery, now: int) -> int | None:
    """Return when the message would have expired that failed at `now`; None if never.

    These are Unix milliseconds. The sender's clock counts where what it says is possible: what
    was delivered was younger than its `expiration`.
    """
    history = history_of(delivery)
    if history.not_after is not None:
        return history.not_after
    expiration = _number(delivery.properties.get("expiration"))
    if expiration is None:
        return None
    published = _number(delivery.published)
    ends = 0 if published is None else (published + 1) * 1000 + expiration  # it has no fractions
    return ends if now < ends <= now + expiration else now + expiration


def copied_properties(delivery: Delivery, kind: str) -> dict[str, Any]:
    """Return the properties of a copy; `kind` begins the id of one that has none."""
    properties = {
        key: value for key, value in delivery.properties.items() if key not in _NOT_COPIED
    }
    properties["delivery_mode"] = PERSISTENT
    properties.setdefault("message_id", f"{kind}-{delivery.queue}-{delivery.tag}-{time.time_ns()}")
    return properties


def copied_headers(delivery: Delivery) -> dict[str, Any]:
    """Return the headers of a copy, without the broker's notes and forged ones."""
    is_believed = came_back(delivery)
    return {
        key: value
        for key, value in delivery.headers.items()
        if not is_of_the_broker(key) and (is_believed or key not in NOTES)
    }


def notes_of(delivery: Delivery, failed: Failed, now: int, longest_text: int) -> dict[str, Any]:
    """Return what a copy tells of the failure at `now`, in Unix milliseconds."""
    exchange, key = origin_of(delivery)
    first_failed = history_of(delivery).first_failed
    notes = {
        ATTEMPTS: failed.attempts,
        "rpcnode-exc-type": type(failed.error).__name__,
        "rpcnode-exc-message": cut(text_of(failed.error), longest_text),
        "rpcnode-first-failed": now if first_failed is None else first_failed,
        "rpcnode-last-failed": now,
        "rpcnode-handler": failed.handler,
        "rpcnode-origin-exchange": exchange,
        "rpcnode-origin-key": key,
    }
    if "expiration" in delivery.properties:
        notes[ORIGIN_EXPIRATION] = delivery.properties["expiration"]
    return notes


# What only we write, and only through the default exchange.
NOTES = frozenset(
    (
        *(ATTEMPTS, NOT_AFTER, DELAYED, ORIGIN_EXPIRATION, "rpcnode-exc-type"),
        *("rpcnode-exc-message", "rpcnode-first-failed", "rpcnode-last-failed", "rpcnode-handler"),
        *("rpcnode-origin-exchange", "rpcnode-origin-key", "rpcnode-dead-reason"),
        *("rpcnode-traceback", "rpcnode-host", "rpcnode-second-error"),
    )
)


def is_of_the_broker(key: Any) -> bool:
    """Return whether a header is the broker's own note, or tells it where to copy a message."""
    is_text = isinstance(key, str)
    return is_text and (key in _STRIPPED or key.startswith(_STRIPPED_PREFIXES))


def _number(value: Any) -> int | None:
    """Return a whole number off the wire, as number or text; None for anything else.

    What is added to it must have room in a header.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < _LARGEST else None


def is_name(value: Any) -> TypeGuard[str]:
    """Return whether a header can be the name of an exchange, or a routing key."""
    return isinstance(value, str) and len(value.encode("utf-8", "replace")) <= _LONGEST_NAME


def _last_error(headers: Mapping[str, Any]) -> str | None:
    kind, text = headers.get("rpcnode-exc-type"), headers.get("rpcnode-exc-message")
    return f"{kind}: {text}" if isinstance(kind, str) and isinstance(text, str) else None


def text_of(error: BaseException) -> str:
    """Return the text of an error; one without says so."""
    try:
        return str(error)
    except Exception:  # a broken __str__ must not keep the message from its queue
        return f"[__str__ of {type(error).__name__} failed]"


def cut(text: str, size: int) -> str:
    """Return the beginning of `text` that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def cut_front(text: str, size: int) -> str:
    """Return the end of `text` that fits into `size` bytes: of a traceback, what matters."""
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore")
