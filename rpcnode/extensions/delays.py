"""Delayed publishing: the broker holds a message for a while before it routes it.

For each exchange and delay there is a topic exchange, bound with `#` to a queue in which
messages expire; from there the broker gives them to the exchange they are for, with the routing
key they were published with. Nothing of it depends on whoever published.
"""

import logging
import math
from time import monotonic
from typing import TYPE_CHECKING, Any

from rpcnode.amqp.entities import delay_queue
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.retry import check_room
from rpcnode.exceptions import PublishRejected, UndeliverableMessage

if TYPE_CHECKING:
    from rpcnode.extensions.connection import Messaging

logger = logging.getLogger(__name__)

SHORTEST = 100  # milliseconds of the first queue
DIGITS = 2  # so many digits of a delay have a queue of their own


def bucket(milliseconds: int) -> int:
    """Return the time to live of the queue for a delay: the next with two digits and zeros.

    So there are at most 90 queues for each power of ten. A message can come late by that much
    alone, and only behind another one in its queue: usual delays have a queue of their own.
    """
    step: int = 10 ** max(0, len(str(milliseconds)) - DIGITS)
    return max(SHORTEST, math.ceil(milliseconds / step) * step)


class Delays:
    """Publishes through queues that hold messages; makes these when they are first needed."""

    def __init__(self, messaging: "Messaging") -> None:
        self._messaging = messaging
        # One of its own for all delays: where an exchange was deleted, it loses its channel.
        self._publisher = messaging.publisher("delayed messages")
        self._declared: set[str] = set()

    def publish(self, message: Outgoing, delay: float, timeout: float | None) -> None:
        """Return when the broker has `message`, which it routes `delay` seconds later.

        Raises UnsupportedByTransport, UnserializableHeader when the broker could not add to the
        headers, BrokerRefused when the queue cannot be made, and what `Publisher.publish` raises.
        """
        self._messaging.require("a delayed message", "dead_lettering", "expiry")
        deadline = None if timeout is None else monotonic() + timeout
        queue = self._queue_for(message, delay)
        message.exchange = queue.exchange.name
        message.mandatory = True  # else it would vanish when the queue was deleted
        frame_max = self._messaging.connection.consuming.frame_max
        if frame_max is not None:
            check_room(message, frame_max)
        try:
            self._publish(message, queue, deadline)
        except (UndeliverableMessage, PublishRejected) as exc:
            if not _is_missing(exc):
                raise
            logger.info("%s is gone; it is made again", queue.name)
            self._declared.discard(queue.name)
            self._publish(message, queue, deadline)

    def _queue_for(self, message: Outgoing, delay: float) -> Any:
        wanted = max(1, math.ceil(delay * 1000))
        message.properties["expiration"] = str(wanted)
        return delay_queue(message.exchange, bucket(wanted))

    def _publish(self, message: Outgoing, queue: Any, deadline: float | None) -> None:
        if queue.name not in self._declared:
            self._messaging.declare_once(queue, timeout=_left(deadline))
            self._declared.add(queue.name)
        self._publisher.publish(message, _left(deadline))


def _is_missing(error: Exception) -> bool:
    # A refusal with a cause closed the channel: the exchange is not there. Else it is a "no".
    return isinstance(error, UndeliverableMessage) or error.__cause__ is not None


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())
