"""The crash guard: a message that ends its process each time ends in a dead queue itself.

No code runs when a process is killed, so it is told by what comes back. A worker that is about
to start with a message that was given out before publishes a copy of it to its queue, which says
how often that happened, and acks the message; the copy runs when its turn comes. Quorum queues
count themselves, so that no copy is needed the first time; what it counted goes on in the copy.

What comes back because a living process gave it back is not counted again: such a message goes
back as a copy that says the same as before.
"""

import logging
import random
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from rpcnode.amqp.crashes import is_counted, redeliveries_of
from rpcnode.amqp.message import REDELIVERIES, Outgoing
from rpcnode.amqp.outbox import Outbox
from rpcnode.concurrency import call_later
from rpcnode.exceptions import BrokerUnavailable, RedeliveredTooOften
from rpcnode.extensions.intake import Job

logger = logging.getLogger(__name__)

# Copies of what came back repeatedly are published within so many seconds, in any order: a message
# that ends the process must not be before its neighbours each time, or they would share its fate.
SPREAD = 0.1
# Acks are written by then. A copy that ended the process before would come back together with
# its original: two messages, then four.
WRITTEN = 0.02


class CrashGuard:
    """Watches what was given out before; `copied` counts copies, `crashed` what came too often.

    A message that came back `limit` times is not run any more: its owner is told.
    """

    def __init__(self, outbox: Outbox, limit: int, publish_timeout: float) -> None:
        self.copied = 0
        self.crashed = 0
        self._outbox = outbox
        self._limit = limit
        self._publish_timeout = publish_timeout
        self._is_stopped = False
        self._held: dict[Job, Any] = {}  # with the timers of their copies
        # Copies whose originals are not acked yet, with what starts those that are here already.
        self._unsettled: dict[Any, list[Callable[[], object]]] = {}

    def takes(self, job: Job, run: Callable[[], object]) -> bool:
        """Return whether this deals with a message that came back, which is not to be run then.

        `run()` runs it later, when that is right: a copy whose original is not settled, or a
        message of which no copy can be made.
        """
        delivery, owner = job.delivery, job.owner
        if owner is None or delivery.problem is not None:
            return False
        if not job.is_suspect:
            waiting = self._unsettled.get((delivery.queue, delivery.id))
            if waiting is not None:
                waiting.append(run)
            return waiting is not None
        redeliveries = redeliveries_of(delivery)
        if redeliveries >= self._limit:
            self.crashed += 1
            owner.crashed(job, _too_often(job, redeliveries))
            return True
        # A quorum queue gives out what came back in the same order each time, so that all that is
        # there with what ends the process would share its fate: only the first time is left to it.
        is_left_to_queue = is_counted(delivery) and redeliveries == 1
        copy = None if is_left_to_queue else owner.copy_of(job)
        if copy is None:
            return False
        copy.headers[REDELIVERIES] = redeliveries
        if redeliveries == 1:  # by a stop, most of the time: they stay in order
            self._publish(job, copy, run)
        else:
            seconds = random.uniform(0, SPREAD)
            self._held[job] = call_later(seconds, self._publish, job, copy, run)
        return True

    def returns(self, job: Job) -> bool:
        """Return whether a copy goes back to the queue in the place of the delivery.

        It does where a requeue would be counted, but for the first time: that is rare, and keeps
        the message's place.
        """
        delivery, owner = job.delivery, job.owner
        if owner is None or delivery.problem is not None or job.is_lost() or self._is_stopped:
            return False
        redeliveries = redeliveries_of(delivery)
        if not redeliveries or (delivery.is_redelivery and not is_counted(delivery)):
            return False
        copy = owner.copy_of(job)
        if copy is None:
            return False
        copy.headers[REDELIVERIES] = redeliveries
        self._post(copy, partial(_returned, job))
        return True

    def stop(self, timeout: float) -> None:
        """Give back what waits to be copied, and wait for the copies that are on their way."""
        ends = monotonic() + timeout
        held, self._held = self._held, {}
        for job, timer in held.items():
            timer.cancel()
            job.requeue()
        self._outbox.wait_idle(timeout)
        for key in list(self._unsettled):
            self._start(key)  # in a lane that is closed: they go back to the queue, as copies
        self._is_stopped = True  # nobody would wait for another copy
        self._outbox.wait_idle(max(0.0, ends - monotonic()))

    def close(self) -> None:
        """Give up the copies that are not confirmed: their messages are requeued."""
        self._is_stopped = True
        self._outbox.close()

    def _publish(self, job: Job, copy: Outgoing, run: Callable[[], object]) -> None:
        self._held.pop(job, None)
        if job.is_lost():
            job.lose()  # the broker gives it out again, here or elsewhere
            return
        key = job.delivery.queue, copy.id
        self._unsettled.setdefault(key, [])
        self._post(copy, partial(self._published, job, key, run))

    def _post(self, copy: Outgoing, settle: Callable[[BaseException | None], object]) -> None:
        self._outbox.post(copy, settle, monotonic() + self._publish_timeout)

    def _published(
        self, job: Job, key: Any, run: Callable[[], object], error: BaseException | None
    ) -> None:
        call_later(WRITTEN, self._start, key)
        if error is None:
            self.copied += 1
            job.ack()
        elif isinstance(error, BrokerUnavailable):
            job.requeue()
        else:
            message, queue = job.delivery.id, job.delivery.queue
            logger.warning(
                "message %r of queue %r cannot be copied; it is run again without a count of "
                "crashes: %s",
                message,
                queue,
                error,
            )
            run()

    def _start(self, key: Any) -> None:
        for run in self._unsettled.pop(key, ()):
            run()


def _returned(job: Job, error: BaseException | None) -> None:
    if error is None:
        job.delivery.ack()
    else:
        logger.debug("message %r cannot be copied: %s", job.delivery.id, error)
        job.delivery.requeue()


def _too_often(job: Job, redeliveries: int) -> RedeliveredTooOften:
    delivery = job.delivery
    error = RedeliveredTooOften(
        f"message {delivery.id!r} of queue {delivery.queue!r} was given out {redeliveries} times "
        "to processes that neither dealt with it nor gave it back: it seems to end them"
    )
    logger.error("%s; it is not run any more", error)
    return error
