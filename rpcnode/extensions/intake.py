"""The way of a delivery from its consumer through a lane to a worker, until it is settled."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from rpcnode.amqp.message import Delivery
from rpcnode.concurrency import GreenletExit, call_later
from rpcnode.exceptions import ContainerBeingKilled
from rpcnode.lanes import Lane

logger = logging.getLogger(__name__)

REMEMBERED = 60.0  # seconds that a message is known to be done whose ack was lost
REQUEUE_DELAY = 1.0  # seconds; without it a message that kills each worker would spin


class Job:
    """One delivery that is on its way; whoever deals with it acks or requeues it here.

    `is_answered` says that what replaces the delivery is already on its way to the broker, and
    will settle it; `is_refused` that the broker did not take that; `is_done` that all is done but
    for an ack that the broker has got.
    """

    __slots__ = ("_key", "_running", "delivery", "is_answered", "is_done", "is_refused")

    def __init__(self, delivery: Delivery, running: dict[Any, "Job"]) -> None:
        self.delivery = delivery
        self.is_answered = False
        self.is_done = False
        self.is_refused = False
        self._running = running
        message_id = delivery.id or delivery.properties.get("correlation_id")
        self._key = (delivery.queue, message_id) if message_id else None

    def ack(self) -> None:
        """Tell the broker that the message is dealt with.

        When the channel is gone, it cannot be told, and delivers the message once more; then, if
        it comes here, it is known to be done.
        """
        if self.is_lost():
            self.is_done = True
            call_later(REMEMBERED, self._leave)
        else:
            self._leave()
        self.delivery.ack()

    def requeue(self) -> None:
        """Give the message back to its queue."""
        self._leave()
        self.delivery.requeue()

    def requeue_later(self) -> None:
        """Give the message back, but not at once; an answered one settles itself."""
        if not self.is_answered:
            call_later(REQUEUE_DELAY, self.requeue)

    def enter(self) -> None:
        """Note that the message is in this process."""
        if self._key is not None:
            self._running[self._key] = self

    def is_lost(self) -> bool:
        """Return whether the channel that the message came on is gone."""
        return getattr(self.delivery.channel, "connection", None) is None

    def earlier(self) -> "Job | None":
        """Return the job of the same message that came on an older channel, if it is known."""
        if not self.delivery.redelivered or self._key is None:
            return None
        other = self._running.get(self._key)
        if other is None or other.delivery.channel is self.delivery.channel:
            return None
        # Two messages may carry one id, if their sender is careless; these are not the same.
        return other if other.delivery.body == self.delivery.body else None

    def _leave(self) -> None:
        if self._key is not None and self._running.get(self._key) is self:
            del self._running[self._key]


class Intake:
    """Hands deliveries to lanes. `taken_over` counts redeliveries of what was still here."""

    def __init__(self) -> None:
        self.taken_over = 0
        self._running: dict[Any, Job] = {}

    def submit(self, lane: Lane, delivery: Delivery, work: Callable[[Job], object]) -> None:
        """Call `work(job)` in a worker's green thread as soon as the lane has room; never block.

        A redelivery of a message that is still here, or is done, is not run again: it takes the
        place of the delivery that was lost, and gets its ack.
        """
        job = Job(delivery, self._running)
        earlier = job.earlier()
        if earlier is not None:
            earlier.delivery = delivery
            self.taken_over += 1
            if earlier.is_done:
                earlier.ack()
            return
        job.enter()
        lane.submit(partial(self._run, job, work), job.requeue)

    def _run(self, job: Job, work: Callable[[Job], object]) -> None:
        if job.is_lost():
            job.requeue()  # the broker gives it out again, here or elsewhere
            return
        try:
            work(job)
        except ContainerBeingKilled:
            job.requeue()
        except GreenletExit:
            job.requeue_later()
            raise
        except BaseException:
            logger.critical(
                "dealing with a message of queue %r failed; it is requeued",
                job.delivery.queue,
                exc_info=True,
            )
            job.requeue_later()
            raise
