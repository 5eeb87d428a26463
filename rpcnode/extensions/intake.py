"""The way of a delivery from its consumer through a lane to a worker, until it is settled."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Protocol

from rpcnode.amqp.crashes import DELIVERY_COUNT
from rpcnode.amqp.message import REDELIVERIES, Delivery, Outgoing
from rpcnode.concurrency import GreenletExit, call_later
from rpcnode.exceptions import ContainerBeingKilled
from rpcnode.lanes import Lane, WaitingRoom

logger = logging.getLogger(__name__)

REMEMBERED = 60.0  # seconds that a message is known to be done whose ack was lost
REQUEUE_DELAY = 1.0  # seconds; without it a message that kills each worker would spin


@dataclass(frozen=True, slots=True)
class Owner:
    """What the crash guard asks of those whose deliveries it watches.

    `copy_of(job)` returns a copy that finds its way to the same queue, None where none is
    wanted. `crashed(job, error)` deals with a message that came back too often. `is_quorum` says
    that the queue counts how often a message comes back.
    """

    copy_of: Callable[["Job"], Outgoing | None]
    crashed: Callable[["Job", Exception], object]
    is_quorum: bool = False


class Guard(Protocol):
    """What watches messages that were given out before: see `crashguard`."""

    def takes(self, job: "Job", run: Callable[[], object]) -> bool:
        """Return whether this deals with a redelivered message, which is not to be run then."""

    def returns(self, job: "Job") -> bool:
        """Return whether a copy goes back to the queue in the place of the delivery."""


class Job:
    """One delivery that is on its way; whoever deals with it acks or requeues it here.

    `is_answered` says that what replaces the delivery is already on its way to the broker, and
    will settle it; `is_refused` that the broker did not take that; `is_done` that all is done but
    for an ack that the broker has got; `is_unstarted` that it was lost before a worker began.

    `may_have_run` says whether somebody may have begun with the message before: it came as a
    redelivery, and not of what never left this process's hands unstarted. `is_suspect` says that
    so it came from the broker, and not as a copy that takes account of it.
    """

    __slots__ = (
        *("delivery", "is_answered", "is_done", "is_refused", "is_suspect", "is_unstarted"),
        *("may_have_run", "owner", "received", "_guard", "_key", "_running"),
    )

    def __init__(
        self,
        delivery: Delivery,
        running: dict[Any, "Job"],
        owner: Owner | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.delivery = delivery
        self.received = monotonic()
        self.owner = owner
        self._guard = guard
        if DELIVERY_COUNT in delivery.headers and not (owner is not None and owner.is_quorum):
            del delivery.headers[DELIVERY_COUNT]  # of another queue, or made up
        redeliveries = delivery.headers.get(REDELIVERIES)
        self.is_suspect = delivery.is_redelivery
        self.may_have_run = delivery.is_redelivery or redeliveries is not None
        self.is_unstarted = False
        self.is_answered = False
        self.is_done = False
        self.is_refused = False
        self._running = running
        message_id = delivery.id or delivery.properties.get("correlation_id")
        # A copy is not the message whose place it takes: both may be here at once.
        count = redeliveries if isinstance(redeliveries, int) else None
        self._key = (delivery.queue, message_id, count) if message_id else None

    def ack(self) -> None:
        """Tell the broker that the message is dealt with.

        When the channel is gone, it cannot be told, and delivers the message once more; then, if
        it comes here, it is known to be done.
        """
        if self.is_lost():
            self.is_done = True
            self._leave_later()
        else:
            self._leave()
        self.delivery.ack()

    def lose(self) -> None:
        """Let go of a message that was not started, and that the broker has again already."""
        self.is_unstarted = True
        self._leave_later()
        self.delivery.requeue()

    def requeue(self) -> None:
        """Give the message back to its queue, as it came or as a copy."""
        self._leave()
        if self._guard is None or not self._guard.returns(self):
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
        if not self.delivery.is_redelivery or self._key is None:
            return None
        other = self._running.get(self._key)
        if other is None or other.delivery.channel is self.delivery.channel:
            return None
        # Two messages may carry one id, if their sender is careless; these are not the same.
        return other if other.delivery.body == self.delivery.body else None

    def _leave_later(self) -> None:
        call_later(REMEMBERED, self._leave)

    def _leave(self) -> None:
        if self._key is not None and self._running.get(self._key) is self:
            del self._running[self._key]


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms deliveries wait for a worker: where, and who gives back an unstarted one.

    Without an `owner` the crash guard leaves them alone.
    """

    room: WaitingRoom
    give_back: Callable[[Job], object] = Job.requeue
    owner: Owner | None = None


class Intake:
    """Hands deliveries to lanes. `taken_over` counts redeliveries of what was still here.

    A delivery waits for a worker less than `max_wait` seconds, None is without limit: brokers
    close the channel of who holds one for too long.
    """

    def __init__(self, max_wait: float | None = None, guard: Guard | None = None) -> None:
        self.taken_over = 0
        self._guard = guard
        self._max_wait = max_wait
        self._terms = Terms(self.waiting_room())
        self._running: dict[Any, Job] = {}

    def waiting_room(self, limit: int | None = None) -> WaitingRoom:
        """Return a room for at most `limit` deliveries that wait for a worker."""
        return WaitingRoom(limit, self._max_wait)

    def submit(
        self,
        lane: Lane,
        delivery: Delivery,
        work: Callable[[Job], object],
        terms: Terms | None = None,
    ) -> Job | None:
        """Call `work(job)` in a worker's green thread as soon as the lane has room; never block.

        Return the job, for the caller to deal with, when the room of `terms` is full.

        A redelivery of a message that is still here, or is done, is not run again: it takes the
        place of the delivery that was lost, and gets its ack.
        """
        terms = terms or self._terms
        job = Job(delivery, self._running, terms.owner, self._guard)
        earlier = job.earlier()
        if earlier is not None:
            if not earlier.is_unstarted:
                self._take_over(earlier, delivery)
                return None
            job.may_have_run = earlier.may_have_run
            job.is_suspect = earlier.is_suspect
        job.enter()
        return None if self._enqueue(job, work, lane, terms) else job

    def _enqueue(self, job: Job, work: Callable[[Job], object], lane: Lane, terms: Terms) -> bool:
        run = partial(self._run, job, work, lane, terms)
        return lane.submit(run, partial(terms.give_back, job), terms.room)

    def _take_over(self, job: Job, delivery: Delivery) -> None:
        job.delivery = delivery
        self.taken_over += 1
        if job.is_done:
            job.ack()

    def _run(self, job: Job, work: Callable[[Job], object], lane: Lane, terms: Terms) -> None:
        if job.is_lost():
            job.lose()  # the broker gives it out again, here or elsewhere
            return
        try:
            if job.may_have_run and self._guard is not None:
                run = partial(self._run_unguarded, job, work, lane, terms)
                if self._guard.takes(job, run):
                    return
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

    def _run_unguarded(
        self, job: Job, work: Callable[[Job], object], lane: Lane, terms: Terms
    ) -> None:
        job.is_suspect = False
        if not self._enqueue(job, work, lane, terms):
            job.requeue()
