"""Requests that go back to their queue as new messages, not by a requeue.

A requeue puts a message to the head of its queue, from where it comes straight back, and marks it
as one that may have run. A copy comes when its turn has come, without such a mark.
"""

import logging
from collections.abc import Callable
from time import monotonic

from rpcnode.amqp.copies import copied_headers, copied_properties, origin_of
from rpcnode.amqp.crashes import redeliveries_of
from rpcnode.amqp.message import PERSISTENT, REDELIVERIES, Outgoing
from rpcnode.calls import LONGEST_LIFE, milliseconds
from rpcnode.concurrency import GreenThread, spawn
from rpcnode.context import TIMEOUT_HEADER, deadline_from_headers
from rpcnode.exceptions import RpcNodeError
from rpcnode.extensions.connection import RPC, Messaging
from rpcnode.extensions.intake import Job
from rpcnode.extensions.rpc_answers import Counts
from rpcnode.shutdown import wait_for

logger = logging.getLogger(__name__)

HELD_HEADER = "rpcnode-held"  # how often a request was put aside
FIRST_DELAY = 1.0  # seconds that it waits then; each time twice as long as before
LONGEST_DELAY = 32.0
MOST_HELD = 10  # what is counted: the number comes off the wire


class Returns:
    """Returns requests into their queue, confirmed, and acks the deliveries then; it never blocks.

    Each is published once. When its outcome is not known, the delivery is requeued: a method that
    must not run twice refuses it then.
    """

    def __init__(
        self, messaging: Messaging, exchange: str, clock_skew: float | None, counts: Counts
    ) -> None:
        self._messaging = messaging
        self._exchange = exchange
        self._clock_skew = clock_skew
        self._counts = counts
        self._threads: set[GreenThread] = set()

    def put_aside(self, job: Job) -> None:
        """Have the request come again later: the longer, the more often it was put aside."""
        copy = self._copy(job)
        if job.may_have_run:
            copy.headers[REDELIVERIES] = redeliveries_of(job.delivery)
        times = copy.headers.get(HELD_HEADER)
        times = min(times, MOST_HELD) if isinstance(times, int) and times >= 0 else 0
        delay = min(FIRST_DELAY * 2**times, LONGEST_DELAY)
        copy.headers[HELD_HEADER] = times + 1
        self._spawn(job, lambda timeout: self._messaging.delays.publish(copy, delay, timeout))

    def return_unstarted(self, job: Job) -> None:
        """Have the request come again as if it had never been delivered, if it never ran."""
        if job.may_have_run or job.is_lost() or job.delivery.problem is not None:
            job.requeue()
            return
        copy = self._copy(job)
        self._spawn(job, lambda timeout: self._messaging.publisher(RPC).publish(copy, timeout))

    def guarded_copy(self, job: Job) -> Outgoing | None:
        """Return the copy that the crash guard publishes: none of a request that expires.

        What ends the process each time does so until then, and not for ever.
        """
        return None if "expiration" in job.delivery.properties else self._copy(job)

    def stop(self, timeout: float) -> None:
        """Wait for the copies that are on their way, at most so many seconds."""
        wait_for(list(self._threads), monotonic() + timeout)

    def _spawn(self, job: Job, publish: Callable[[float], object]) -> None:
        deadline = self._deadline(job)
        if deadline is not None and deadline <= monotonic():
            # A copy would live on a little, each time: the broker would have dropped it.
            self._counts.expired += 1
            job.ack()
            return
        job.is_answered = True
        thread = spawn(self._publish, job, publish)
        self._threads.add(thread)
        thread.link(self._threads.discard)

    def _publish(self, job: Job, publish: Callable[[float], object]) -> None:
        try:
            publish(self._messaging.publish_timeout)
        except RpcNodeError as exc:
            logger.warning(
                "message %r of queue %r cannot be copied, and is requeued: %s",
                job.delivery.id,
                job.delivery.queue,
                exc,
            )
            job.is_answered = False
            job.requeue_later()
        else:
            job.ack()

    def _copy(self, job: Job) -> Outgoing:
        delivery = job.delivery
        _exchange, key = origin_of(delivery)
        properties, headers = copied_properties(delivery, "copy"), copied_headers(delivery)
        properties["delivery_mode"] = delivery.properties.get("delivery_mode", PERSISTENT)
        deadline = self._deadline(job)
        if deadline is not None:
            left = min(max(0.0, deadline - monotonic()), LONGEST_LIFE)
            properties["expiration"] = milliseconds(left)
            headers[TIMEOUT_HEADER] = int(properties["expiration"])
        return Outgoing(self._exchange, key, delivery.body, properties, headers, mandatory=True)

    def _deadline(self, job: Job) -> float | None:
        return deadline_from_headers(job.delivery.headers, job.received, self._clock_skew)
