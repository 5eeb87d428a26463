"""Dead letters: what is copied to a dead queue, with the reason.

The headers are those of `docs/protocol.md`. Nothing here sends anything.
"""

import socket
import time
import traceback
from dataclasses import dataclass
from typing import Any

from rpcnode.amqp.copies import (
    NOTES,
    REPLAYED,
    REPLAYED_AT,
    copied_headers,
    copied_properties,
    cut,
    cut_front,
    notes_of,
    text_of,
)
from rpcnode.amqp.message import REDELIVERIES, Delivery, Outgoing

EXHAUSTED = "exhausted"
REJECTED = "rejected"
INVALID = "invalid"
UNDECODABLE = "undecodable"
EXPIRED = "expired"
CRASHED = "crashed"
REDELIVERED = "redelivered"

LONGEST_TEXT = 2048  # bytes of a header that is a text
LONGEST_TRACEBACK = 8192  # bytes
# Notes that a copy may bring along, or be given; a message may have others that look like these.
_OURS = NOTES | {REDELIVERIES, REPLAYED, REPLAYED_AT}


@dataclass(frozen=True, slots=True)
class Death:
    """Why a message is dead: the reason, the error, and the `service.method` that had it.

    `attempts` counts how often the method was run with it. `second_error` is that of the method
    that was to take care of it, and failed as well.
    """

    reason: str
    error: BaseException
    handler: str
    attempts: int = 1
    second_error: BaseException | None = None


def dead_copy(delivery: Delivery, queue: str, death: Death) -> Outgoing:
    """Return the copy of a delivery for its dead queue `queue`."""
    kept = {  # a key whose bytes are no text stays as it is
        key: cut(value, LONGEST_TEXT) if isinstance(value, str) else value
        for key, value in copied_headers(delivery).items()
    }
    headers = {**kept, **_notes(delivery, death)}
    properties = copied_properties(delivery, "dead")
    return Outgoing("", queue, delivery.body, properties, headers, mandatory=True)


def without_foreign_headers(copy: Outgoing) -> Outgoing:
    """Return a copy with its own notes alone, for headers that do not fit into a frame.

    These are few, and each is a number or a text that was cut: such a copy always fits.
    """
    notes = {key: value for key, value in copy.headers.items() if key in _OURS and _is_small(value)}
    notes["rpcnode-headers-dropped"] = True
    return Outgoing("", copy.routing_key, copy.body, copy.properties, notes, mandatory=True)


def _is_small(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**63)


def _notes(delivery: Delivery, death: Death) -> dict[str, Any]:
    notes = {
        **notes_of(delivery, death, round(time.time() * 1000), LONGEST_TEXT),
        "rpcnode-dead-reason": death.reason,
        "rpcnode-traceback": cut_front(_traceback(death.error), LONGEST_TRACEBACK),
        "rpcnode-host": socket.gethostname(),
    }
    if death.second_error is not None:
        text = f"{type(death.second_error).__name__}: {text_of(death.second_error)}"
        notes["rpcnode-second-error"] = cut(text, LONGEST_TEXT)
    return notes


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
