"""Where messages are until their next attempt: in hold queues, or in this process."""

import logging
import math
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rpcnode.amqp.dead import Death
from rpcnode.amqp.entities import hold_queue
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.retry import Hold, bucket_of, hold_copy, without_texts
from rpcnode.concurrency import call_later
from rpcnode.extensions.copies import Copy
from rpcnode.extensions.intake import Job
from rpcnode.extensions.retry import Judgement
from rpcnode.retries import Pause

if TYPE_CHECKING:
    from rpcnode.extensions.connection import Messaging

logger = logging.getLogger(__name__)

MOST_HERE = 1000  # messages of a handler that this process holds


class HoldQueues:
    """Holds messages in the broker: they come back to their queue as copies.

    The broker keeps them when this process or itself is restarted, and other messages of the
    queue pass them by.
    """

    def __init__(self, messaging: "Messaging", queue_type: str) -> None:
        self._messaging = messaging
        self._queue_type = queue_type

    def hold(self, judgement: Judgement, pause: Pause, death: Death, dead_queue: str) -> None:
        """Have the message delivered again after `pause`; do not wait.

        When its headers leave no room for what a copy has to tell, it is dead instead.
        """
        hold = _hold(death, pause)
        lifetime = bucket_of(hold.milliseconds)
        if pause.longest is not None:
            lifetime = _milliseconds(pause.longest)
        job = judgement.job

        def make() -> Copy:
            delivery = job.delivery
            queue = hold_queue(delivery.queue, lifetime, self._queue_type)
            failed_at = round(judgement.failed_at * 1000)
            message = hold_copy(delivery, queue.name, hold, failed_at)
            whole = Copy(message, partial(self._messaging.ensure_queue, queue))
            give_up = partial(self._dead_copy, delivery, dead_queue, death)
            small = replace(whole, message=without_texts(message), smaller=give_up)
            return replace(whole, smaller=lambda: small)

        self._messaging.copies.replace(job, make)

    def _dead_copy(self, delivery: Delivery, dead_queue: str, death: Death) -> Copy:
        logger.warning(
            "message %r of queue %r cannot be held for another attempt, its headers leave no room "
            "for it; it goes to %r",
            delivery.id,
            delivery.queue,
            dead_queue,
        )
        return self._messaging.dead_letters.copy(delivery, dead_queue, death)

    def stop(self) -> None:
        """Do nothing: the broker holds what is held."""

    def kill(self) -> None:
        """Do nothing, for the same reason."""


class HeldHere:
    """Holds messages of a queue that only this process can have, and that goes with it.

    They are acked, because they would be lost with the queue in any case, and what waits should
    not keep others from coming. What is still held when the service stops is dead.
    """

    def __init__(
        self, messaging: "Messaging", resume: Callable[[Job, Callable[[], object]], object]
    ) -> None:
        self._messaging = messaging
        self._resume = resume
        self._held: dict[Job, tuple[Any, Callable[[], None]]] = {}
        self._is_stopped = False

    def hold(self, judgement: Judgement, pause: Pause, death: Death, dead_queue: str) -> None:
        """Hand the message over again after `pause`; do not wait."""
        job = judgement.job
        bury = partial(self._messaging.dead_letters.bury, job, dead_queue, death)
        if self._is_stopped or len(self._held) >= MOST_HERE:
            bury()
            return
        job.ack()
        hold = _hold(death, pause)
        job.delivery = _as_if_it_came_back(job.delivery, hold, round(judgement.failed_at * 1000))
        self._held[job] = call_later(pause.seconds, self._release, job), bury

    def stop(self) -> None:
        """Hold nothing any more: what is held is dead."""
        for bury in self._let_go():
            bury()

    def kill(self) -> None:
        """Let go of what is held: nobody will hear of it."""
        self._let_go()

    def _let_go(self) -> list[Callable[[], None]]:
        self._is_stopped = True
        held, self._held = self._held, {}
        for timer, _bury in held.values():
            timer.cancel()
        return [bury for _timer, bury in held.values()]

    def _release(self, job: Job) -> None:
        _timer, bury = self._held.pop(job)
        self._resume(job, bury)


def _as_if_it_came_back(delivery: Delivery, hold: Hold, now: int) -> Delivery:
    message = hold_copy(delivery, delivery.queue, hold, now)
    again = copy(delivery)
    again.exchange, again.routing_key = message.exchange, message.routing_key
    again.headers = message.headers
    again.properties = {**message.properties}
    del again.properties["expiration"]
    return again


def _hold(death: Death, pause: Pause) -> Hold:
    return Hold(death.error, death.handler, death.attempts, _milliseconds(pause.seconds))


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
