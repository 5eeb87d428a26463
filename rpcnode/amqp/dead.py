"""Dead letters: what is copied to a dead queue, with the reason.

The headers are those of `docs/protocol.md`. Nothing here sends anything.
"""

import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rpcnode.amqp.message import PERSISTENT, Delivery, Outgoing

EXHAUSTED = "exhausted"
INVALID = "invalid"
UNDECODABLE = "undecodable"

LONGEST_TEXT = 2048  # bytes of a header that is a text
LONGEST_TRACEBACK = 8192  # bytes
# The broker's own notes on earlier deaths and copies: kept, they change where a message goes.
_STRIPPED = frozenset(("x-death", "CC", "BCC"))
_STRIPPED_PREFIXES = ("x-first-death-", "x-last-death-")
# A user id that is not the connection's own makes the broker close the channel.
_NOT_COPIED = ("application_headers", "expiration", "user_id", "cluster_id")


@dataclass(frozen=True, slots=True)
class Death:
    """Why a message is dead: the reason, the error, and the `service.method` that had it.

    `attempts` counts how often the method was run with it.
    """

    reason: str
    error: BaseException
    handler: str
    attempts: int = 1


def dead_copy(delivery: Delivery, queue: str, death: Death) -> Outgoing:
    """Return the copy of a delivery for its dead queue `queue`."""
    properties = {
        key: value for key, value in delivery.properties.items() if key not in _NOT_COPIED
    }
    properties["delivery_mode"] = PERSISTENT
    properties.setdefault("message_id", f"dead-{delivery.queue}-{delivery.tag}-{time.time_ns()}")
    headers = {**_kept(delivery.headers), **_notes(delivery, death)}
    return Outgoing("", queue, delivery.body, properties, headers, mandatory=True)


def without_foreign_headers(copy: Outgoing) -> Outgoing:
    """Return a copy with its own notes alone, for headers that do not fit into a frame."""
    notes = {key: value for key, value in copy.headers.items() if str(key).startswith("rpcnode-")}
    notes["rpcnode-headers-dropped"] = True
    return Outgoing("", copy.routing_key, copy.body, copy.properties, notes, mandatory=True)


def origin_of(delivery: Delivery) -> tuple[str, str]:
    """Return exchange and routing key as the first sender gave them.

    A message that comes back through the default exchange has them in its headers.
    """
    exchange = delivery.headers.get("rpcnode-origin-exchange")
    key = delivery.headers.get("rpcnode-origin-key")
    if delivery.exchange == "" and isinstance(exchange, str) and isinstance(key, str):
        return exchange, key
    return delivery.exchange, delivery.routing_key


def _kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {  # a key whose bytes are no text stays as it is
        key: cut(value, LONGEST_TEXT) if isinstance(value, str) else value
        for key, value in headers.items()
        if not _is_of_the_broker(key)
    }


def _is_of_the_broker(key: Any) -> bool:
    is_text = isinstance(key, str)
    return is_text and (key in _STRIPPED or key.startswith(_STRIPPED_PREFIXES))


def _notes(delivery: Delivery, death: Death) -> dict[str, Any]:
    now = round(time.time() * 1000)
    exchange, key = origin_of(delivery)
    notes = {
        "rpcnode-dead-reason": death.reason,
        "rpcnode-exc-type": type(death.error).__name__,
        "rpcnode-exc-message": cut(_text(death.error), LONGEST_TEXT),
        "rpcnode-traceback": cut_front(_traceback(death.error), LONGEST_TRACEBACK),
        "rpcnode-attempts": death.attempts,
        "rpcnode-first-failed": now,
        "rpcnode-last-failed": now,
        "rpcnode-handler": death.handler,
        "rpcnode-host": socket.gethostname(),
        "rpcnode-origin-exchange": exchange,
        "rpcnode-origin-key": key,
    }
    if "expiration" in delivery.properties:
        notes["rpcnode-origin-expiration"] = delivery.properties["expiration"]
    return notes


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a broken __str__ must not keep the message from its dead queue
        return f"[__str__ of {type(error).__name__} failed]"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def cut(text: str, size: int) -> str:
    """Return the beginning of `text` that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def cut_front(text: str, size: int) -> str:
    """Return the end of `text` that fits into `size` bytes: of a traceback, what matters."""
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore")
