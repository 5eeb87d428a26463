"""Where messages end that nobody can deal with: in a dead queue, with the reason."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from rpcnode.amqp.dead import EXHAUSTED, Death, dead_copy, without_foreign_headers
from rpcnode.amqp.entities import dead_queue
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import Event, GreenThread, spawn
from rpcnode.exceptions import (
    BrokerError,
    PublishRejected,
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


class DeadLetters:
    """Copies deliveries to dead queues, confirmed, and acks them then.

    Each does so in a green thread of its own, so that no worker waits for it; there are at
    most as many as deliveries that are not acked. `is_full` says that a dead queue takes no
    more: the service is not well then.
    """

    def __init__(self, messaging: "Messaging", max_length: int) -> None:
        self.is_full = False
        self._messaging = messaging
        self._publisher = messaging.publisher("dead letters")  # publishers are known by purpose
        self._max_length = max_length
        self._declared: set[str] = set()
        self._stopping: Event[None] = Event()
        self._threads: set[GreenThread] = set()

    def bury(self, job: Job, queue: str, death: Death) -> None:
        """Copy the delivery of `job` to the dead queue `queue`, then ack it; do not wait.

        When the broker cannot be reached for PUBLISH_TIMEOUT, the delivery is requeued; while
        the dead queue is full, it is held, because a requeue would only run it again.
        """
        job.is_answered = True
        thread = spawn(self._bury, job, queue, death)
        self._threads.add(thread)
        thread.link(self._threads.discard)

    def stop(self, timeout: float) -> None:
        """Wait for the copies that are on their way; what is held goes back to its queue."""
        self._stopping.set()
        wait_for(list(self._threads), monotonic() + timeout)

    def _bury(self, job: Job, queue: str, death: Death) -> None:
        delivery = job.delivery
        # A worker's failure has been logged already.
        level = logging.INFO if death.reason == EXHAUSTED else logging.WARNING
        logger.log(
            level,
            "message %r of queue %r goes to %r: %s (%s: %.500s)",
            delivery.id,
            delivery.queue,
            queue,
            death.reason,
            type(death.error).__name__,
            death.error,
        )
        try:
            is_buried = self._publish(dead_copy(delivery, queue, death))
        except Exception:  # whatever is wrong with this message, it must not be lost
            logger.error("message %r cannot be copied to %r", delivery.id, queue, exc_info=True)
            is_buried = False
            self._stopping.wait(LONGEST_DELAY)
        if is_buried:
            job.ack()
        else:
            job.requeue()

    def _publish(self, copy: Outgoing) -> bool:
        """Publish a copy until it is confirmed; return False when it is time to give up."""
        give_up_at = monotonic() + self._messaging.publish_timeout
        delay = FIRST_DELAY
        while True:
            try:
                self._publish_once(copy, max(give_up_at - monotonic(), FIRST_DELAY))
            except UnserializableHeader:
                if "rpcnode-headers-dropped" in copy.headers:
                    raise
                copy = without_foreign_headers(copy)
                continue
            except BrokerError as exc:
                self._note(copy, exc, delay)
            else:
                self.is_full = False
                return True
            if not self.is_full and monotonic() >= give_up_at:
                return False
            if self._stopping.wait(delay):
                return False
            delay = min(delay * 2, LONGEST_DELAY)

    def _note(self, copy: Outgoing, error: BrokerError, delay: float) -> None:
        # A refusal without a cause is the broker's "no": the queue is full.
        self.is_full = isinstance(error, PublishRejected) and error.__cause__ is None
        if self.is_full:
            logger.error(
                "dead queue %r is full: look at its messages and empty it; what fails is held "
                "until then, the next attempt is in %.1f s",
                copy.routing_key,
                delay,
            )
        else:
            logger.warning(
                "no copy for %r yet, the next attempt is in %.1f s: %s",
                copy.routing_key,
                delay,
                error,
            )

    def _publish_once(self, copy: Outgoing, timeout: float) -> None:
        name = copy.routing_key
        if name not in self._declared:
            # One that exists is used as it is: its limit may have been another one once.
            if not self._messaging.has_queue(name, timeout):
                queue = dead_queue(name, self._max_length)
                self._messaging.declare_once(queue, timeout=timeout)
            self._declared.add(name)
        try:
            self._publisher.publish(copy, timeout)
        except UndeliverableMessage:
            self._declared.discard(name)  # somebody deleted it: it is made anew next time
            raise
