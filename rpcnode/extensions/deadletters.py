"""Where messages end that nobody can deal with: in a dead queue, with the reason."""

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rpcnode.amqp.dead import EXHAUSTED, Death, dead_copy, without_foreign_headers
from rpcnode.amqp.message import Delivery
from rpcnode.extensions.copies import Copy
from rpcnode.extensions.intake import Job

if TYPE_CHECKING:
    from rpcnode.extensions.connection import Messaging

logger = logging.getLogger(__name__)


class DeadLetters:
    """Copies deliveries to dead queues. `is_full` says that one of these takes no more."""

    def __init__(self, messaging: "Messaging") -> None:
        self._messaging = messaging

    @property
    def is_full(self) -> bool:
        """Whether a dead queue takes no more: the service is not well then."""
        return bool(self._messaging.copies.full)

    def bury(self, job: Job, queue: str, death: Death) -> None:
        """Copy the delivery of `job` to the dead queue `queue`, then ack it; do not wait.

        When the broker cannot be reached for PUBLISH_TIMEOUT, the delivery is requeued; while
        the dead queue is full, it is held, because a requeue would only run it again.
        """
        # A worker's failure has been logged already.
        level = logging.INFO if death.reason == EXHAUSTED else logging.WARNING
        logger.log(
            level,
            "message %r of queue %r goes to %r: %s (%s: %.500s)",
            job.delivery.id,
            job.delivery.queue,
            queue,
            death.reason,
            type(death.error).__name__,
            death.error,
        )
        self._messaging.copies.replace(job, lambda: self.copy(job.delivery, queue, death))

    def copy(self, delivery: Delivery, queue: str, death: Death) -> Copy:
        """Return the copy of a delivery for the dead queue `queue`."""
        message = dead_copy(delivery, queue, death)
        copy = Copy(message, partial(self._messaging.ensure_dead_queue, queue), is_final=True)
        return replace(
            copy, smaller=lambda: replace(copy, message=without_foreign_headers(message))
        )
