"""Copies: what replaces a delivery is published, confirmed, and only then is it acked."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from rpcnode.amqp.message import REDELIVERIES, Outgoing
from rpcnode.amqp.retry import check_room
from rpcnode.concurrency import Event, GreenThread, spawn
from rpcnode.exceptions import (
    BrokerError,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    UndeliverableMessage,
    UnserializableHeader,
)
from rpcnode.extensions.intake import Job
from rpcnode.shutdown import wait_for

if TYPE_CHECKING:
    from rpcnode.extensions.connection import Messaging

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.1  # seconds until the next attempt to publish a copy
LONGEST_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a message for the queue that its routing key names.

    `ensure(timeout)` has that queue made, unless there is one. `smaller()` returns another copy
    to try when the headers of this one do not fit into a frame.
    A queue that is `final` is the end of the way: when it is full, the delivery is held, because
    there is nowhere else to go with it; else it is requeued in the end.
    """

    message: Outgoing
    ensure: Callable[[float], object]
    smaller: "Callable[[], Copy] | None" = None
    is_final: bool = False


class Copies:
    """Publishes copies of deliveries straight into queues, and acks the deliveries then.

    Each does so in a green thread of its own, so that no worker waits for it; there are at
    most as many as deliveries that are not acked. `full` has the names of final queues that
    take no more: the service is not well then.
    """

    def __init__(self, messaging: "Messaging") -> None:
        self.full: set[str] = set()
        self._messaging = messaging
        self._publisher = messaging.publisher("copies")  # publishers are known by purpose
        self._declared: set[str] = set()
        self._stopping: Event[None] = Event()
        self._threads: set[GreenThread] = set()

    @property
    def pending(self) -> int:
        """How many deliveries wait until their copies are confirmed."""
        return len(self._threads)

    def replace(self, job: Job, make: Callable[[], Copy]) -> None:
        """Publish the copy that `make` returns, then ack the delivery of `job`; do not wait.

        When the broker cannot be reached for PUBLISH_TIMEOUT, the delivery is requeued.
        """
        job.is_answered = True
        thread = spawn(self._replace, job, make)
        self._threads.add(thread)
        thread.link(self._threads.discard)

    def stop(self, timeout: float) -> None:
        """Wait for the copies that are on their way; what is held goes back to its queue."""
        self._stopping.set()
        wait_for(list(self._threads), monotonic() + timeout)

    def _replace(self, job: Job, make: Callable[[], Copy]) -> None:
        try:
            is_copied = self._publish(make())
        except Exception:  # whatever is wrong with this message, it must not be lost
            message, queue = job.delivery.id, job.delivery.queue
            logger.error("message %r of queue %r cannot be copied", message, queue, exc_info=True)
            is_copied = False
            self._stopping.wait(LONGEST_DELAY)
        if is_copied:
            job.ack()
        else:
            job.requeue()

    def _publish(self, copy: Copy) -> bool:
        """Publish a copy until it is confirmed; return False when it is time to give up."""
        give_up_at = monotonic() + self._messaging.publish_timeout
        delay = FIRST_DELAY
        while True:
            try:
                self._publish_once(copy, max(give_up_at - monotonic(), FIRST_DELAY))
            except UnserializableHeader:
                if copy.smaller is None:
                    raise
                copy = copy.smaller()
                continue
            except BrokerError as exc:
                is_full = self._note(copy, exc, delay)
                if isinstance(exc, (ConnectionLost, PublishTimeout)):
                    # The broker may have this one: the next is marked as one that may be run twice.
                    copy.message.headers.setdefault(REDELIVERIES, 0)
            else:
                self.full.discard(copy.message.routing_key)
                return True
            if not is_full and monotonic() >= give_up_at:
                return False
            if self._stopping.wait(delay):
                return False
            delay = min(delay * 2, LONGEST_DELAY)

    def _note(self, copy: Copy, error: BrokerError, delay: float) -> bool:
        """Log why there is no copy yet; return whether its queue, a final one, is full."""
        name = copy.message.routing_key
        # A refusal without a cause is the broker's "no": the queue is full.
        is_no = isinstance(error, PublishRejected) and error.__cause__ is None
        if is_no and copy.is_final:
            self.full.add(name)
            logger.error(
                "dead queue %r is full: look at its messages and empty it; what fails is held "
                "until then, the next attempt is in %.1f s",
                name,
                delay,
            )
            return True
        self.full.discard(name)
        logger.warning("no copy for %r yet, the next attempt is in %.1f s: %s", name, delay, error)
        return False

    def _publish_once(self, copy: Copy, timeout: float) -> None:
        name = copy.message.routing_key
        if name not in self._declared:
            copy.ensure(timeout)
            self._declared.add(name)
        frame_max = self._messaging.connection.consuming.frame_max
        if frame_max is not None and not copy.is_final:
            check_room(copy.message, frame_max)
        try:
            self._publisher.publish(copy.message, timeout)
        except UndeliverableMessage:
            self._declared.discard(name)  # somebody deleted it: it is made anew next time
            raise
