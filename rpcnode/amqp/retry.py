"""Hold queues: what is copied to one, and to which, so that it is delivered again later.

A hold queue belongs to one queue, its owner, and holds messages of about the same delay: the
broker takes them out in order alone, so that a short delay behind a long one would be late.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

from rpcnode.amqp.copies import (
    DELAYED,
    NOT_AFTER,
    copied_headers,
    copied_properties,
    history_of,
    not_after,
    notes_of,
)
from rpcnode.amqp.crashes import redeliveries_of
from rpcnode.amqp.message import REDELIVERIES, Delivery, Outgoing
from rpcnode.amqp.properties import encode_properties
from rpcnode.amqp.unencodable import ENCODING_ERRORS, check_size

LONGEST_TEXT = 500  # bytes of the error's text
ROOM = 2048  # bytes for what the broker notes: three times the name of the hold queue, and more
_TEXTS = ("rpcnode-exc-type", "rpcnode-exc-message", "rpcnode-handler")

# The times to live of hold queues, in milliseconds: half as long again each, from half a second
# to 42 days.
BUCKETS = tuple(math.ceil(500 * 1.5**number) for number in range(40))


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a message is held, and for how long: `milliseconds`.

    `attempts` counts how often the method, `handler`, was run with it.
    """

    error: BaseException
    handler: str
    attempts: int
    milliseconds: int


def bucket_of(milliseconds: int) -> int:
    """Return the time to live of the hold queue for a delay, the next longer one there is."""
    return BUCKETS[min(bisect_left(BUCKETS, milliseconds), len(BUCKETS) - 1)]


def hold_copy(delivery: Delivery, queue: str, hold: Hold, now: int) -> Outgoing:
    """Return the copy of a delivery for the hold queue `queue`; `now` is in Unix milliseconds."""
    properties = copied_properties(delivery, "retry")
    properties["expiration"] = str(hold.milliseconds)
    headers = copied_headers(delivery)
    headers.update(notes_of(delivery, hold, now, LONGEST_TEXT))
    headers[DELAYED] = history_of(delivery).delayed_ms + hold.milliseconds
    if delivery.redelivered:
        # Later attempts are of a message that may have been run before, too: it stays marked.
        headers[REDELIVERIES] = redeliveries_of(delivery)
    ends = not_after(delivery, now)
    if ends is not None:
        headers[NOT_AFTER] = ends
    return Outgoing("", queue, delivery.body, properties, headers, mandatory=True)


def check_room(copy: Outgoing, frame_max: int) -> None:
    """Raise UnserializableHeader unless the broker can add to the headers of a copy.

    It notes there that the copy has expired. What does not fit into a frame then is sent all the
    same, and ends the connection of whoever consumes it, each time.
    """
    try:
        properties = encode_properties(copy.properties, copy.headers)
    except ENCODING_ERRORS:
        return  # the one who publishes it says what is wrong
    check_size(properties, frame_max - ROOM)


def without_texts(copy: Outgoing) -> Outgoing:
    """Return a copy that does not tell of the error, for headers that do not fit into a frame."""
    headers = {key: value for key, value in copy.headers.items() if key not in _TEXTS}
    return Outgoing("", copy.routing_key, copy.body, copy.properties, headers, mandatory=True)
