"""Where messages end that nobody can deal with: in a dead queue, with the reason."""

import logging
from time import monotonic
from typing import TYPE_CHECKING

from rpcnode.amqp.dead import Death, dead_copy, without_foreign_headers
from rpcnode.amqp.entities import dead_queue
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import sleep
from rpcnode.exceptions import (
    BrokerError,
    BrokerRefused,
    PublishRejected,
    UndeliverableMessage,
    UnserializableHeader,
)
from rpcnode.extensions.intake import Job

if TYPE_CHECKING:
    from rpcnode.extensions.connection import Messaging

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.1  # seconds until the next attempt to publish a copy
LONGEST_DELAY = 30.0


class DeadLetters:
    """Copies deliveries to dead queues, confirmed, and acks them then.

    `is_full` says that a dead queue takes no more: the service is not well then.
    """

    def __init__(self, messaging: "Messaging", max_length: int) -> None:
        self.is_full = False
        self._messaging = messaging
        self._publisher = messaging.publisher("dead letters")
        self._max_length = max_length
        self._declared: set[str] = set()

    def bury(self, job: Job, queue: str, death: Death) -> None:
        """Copy the delivery of `job` to the dead queue `queue`, then ack it.

        When the broker cannot be reached for PUBLISH_TIMEOUT, the delivery is requeued; while
        the dead queue is full, it is held, because a requeue would only run it again.
        """
        copy = dead_copy(job.delivery, queue, death)
        logger.warning(
            "message %s of queue %r goes to %r: %s (%s: %s)",
            job.delivery.id,
            job.delivery.queue,
            queue,
            death.reason,
            type(death.error).__name__,
            death.error,
        )
        if self._publish(copy, monotonic() + self._messaging.publish_timeout):
            job.ack()
        else:
            job.requeue()

    def _publish(self, copy: Outgoing, give_up_at: float) -> bool:
        delay = FIRST_DELAY
        while True:
            try:
                self._publish_once(copy, give_up_at - monotonic())
                self.is_full = False
                return True
            except UnserializableHeader:
                copy = without_foreign_headers(copy)
            except BrokerRefused as exc:
                logger.error("%s; trying again in %.1f s", exc, delay)
            except PublishRejected as exc:
                self.is_full = True
                logger.error(
                    "dead queue %r takes no more (%s): empty it with rpcnode or raise "
                    "DEAD_MAX_LENGTH; what fails is held until then, the next attempt is in "
                    "%.1f s",
                    copy.routing_key,
                    exc,
                    delay,
                )
            except BrokerError as exc:
                logger.debug("copy for %r: %s", copy.routing_key, exc)
            if self._is_over(give_up_at):
                return False
            sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    def _is_over(self, give_up_at: float) -> bool:
        is_stopping: bool = self._messaging.container.is_stopping
        return is_stopping or (not self.is_full and monotonic() >= give_up_at)

    def _publish_once(self, copy: Outgoing, timeout: float) -> None:
        name = copy.routing_key
        timeout = max(timeout, FIRST_DELAY)
        if name not in self._declared:
            self._messaging.declare_once(dead_queue(name, self._max_length), timeout=timeout)
            self._declared.add(name)
        try:
            self._publisher.publish(copy, timeout)
        except UndeliverableMessage:
            self._declared.discard(name)  # somebody deleted it: it is made anew next time
            raise
