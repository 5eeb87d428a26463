"""Entrypoints that messages fire: what is common to events and to queues of any kind."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self

from rpcnode.amqp.copies import as_published, history_of
from rpcnode.amqp.crashes import copy_for_queue
from rpcnode.amqp.dead import CRASHED, INVALID, UNDECODABLE, Death
from rpcnode.amqp.entities import QUORUM, queue_type_of
from rpcnode.amqp.message import Delivery, Outgoing
from rpcnode.amqp.naming import dead_queue
from rpcnode.backoff import Attempt
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import (
    ConfigurationError,
    ContainerBeingKilled,
    IncorrectSignature,
    Reject,
    UndecodableMessage,
)
from rpcnode.extensions.aftermath import Aftermath, failure_of
from rpcnode.extensions.base import Entrypoint
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.holding import HeldHere, HoldQueues
from rpcnode.extensions.intake import Job, Owner, Terms
from rpcnode.extensions.retry import Judgement, Rules
from rpcnode.proxies import UNSET
from rpcnode.retries import Retry, policy_from
from rpcnode.workers import KILLED

NEEDED_TO_HOLD = ("dead_lettering", "expiry")  # capabilities of a transport
Outcome = tuple[Any, ExcInfo | None]


class MessageHandler(Entrypoint):
    """The base of entrypoints that a queue's messages fire, each with its payload.

    A method that returns acks its message. One that fails has its message held for another
    attempt, or in the end copied to the dead queue, with the reason, before it is acked.
    Subclasses say which queue it is (`make_queue`).

    - `retry`: a `Retry`; None tries nothing again; what is not given is EVENT_RETRY.
    - `on_exhausted`: the name of a method `(self, payload, failure)` that takes care of a message
      instead of the dead queue when there will be no other attempt.
    - `requeue_on_error`: a message that fails first goes back to its queue, once.
    - `filter`: a function of the payload; what it answers with False is acked and not run.
      `filtered` counts that.

    `retried` counts messages that were held for another attempt.
    """

    messaging = Messaging()
    _aftermath: Aftermath | None = None
    _holding: HoldQueues | HeldHere

    def __init__(
        self,
        *args: Any,
        requeue_on_error: bool = False,
        filter: Callable[[Any], object] | None = None,  # noqa: A002 (the name that users write)
        retry: Any = UNSET,
        on_exhausted: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not (retry is UNSET or retry is None or isinstance(retry, Retry)):
            raise ConfigurationError(f"retry must be a Retry(...) or None, not {retry!r}")
        if not isinstance(on_exhausted, (str, type(None))):
            raise ConfigurationError(f"on_exhausted must be a method's name, not {on_exhausted!r}")
        self.requeue_on_error = requeue_on_error
        self.filter = filter
        self.retry = retry
        self.on_exhausted = on_exhausted
        self.filtered = 0
        self.retried = 0

    def bind(self, container: Any, method_name: str) -> Self:  # type: ignore[override]  # Nameko's
        """Return a copy for `container`; ConfigurationError when `on_exhausted` cannot work."""
        bound = super().bind(container, method_name)
        if self.on_exhausted is not None:
            bound._aftermath = Aftermath.of(bound, self.on_exhausted)
        return bound

    def make_queue(self) -> Any:
        """Return the kombu queue to consume; called for each connection."""
        raise NotImplementedError(f"{type(self).__name__} does not say which queue it consumes")

    def dead_queue(self, delivery: Delivery) -> str:
        """Return the name of the queue where a failed delivery ends."""
        return dead_queue(delivery.queue)

    def setup(self) -> None:
        """Check that the method can take a payload, and make the consumer."""
        try:
            self.check_signature(("payload",), {})
        except IncorrectSignature as exc:
            raise ConfigurationError(
                f"{exc}: write `def {self.method_name}(self, payload)`"
            ) from exc
        self._rules = self._make_rules()
        self._holding = self._make_holding()
        intake = self.messaging.intake
        is_quorum = queue_type_of(self.make_queue()) == QUORUM
        owner = Owner(_copy_of, self._crashed, is_quorum)
        self._terms = Terms(intake.waiting_room(), owner=owner)
        prefetch = self.container.config["PREFETCH_COUNT"] or self.lane.max_workers
        self._consumer = self.messaging.consume(self.make_queue, self._receive, prefetch=prefetch)

    def start(self) -> None:
        """Consume; BrokerRefused when the queue cannot be had."""
        self._consumer.start()

    def stop(self) -> None:
        """Take no more messages; what was not started goes back to the queue."""
        self._consumer.cancel()
        self._holding.stop()

    def kill(self) -> None:
        """Let go of what is held."""
        if hasattr(self, "_holding"):  # else `setup` has failed before
            self._holding.kill()

    def attempt_of(self, worker_ctx: WorkerContext) -> Attempt:
        """Return which attempt a worker is."""
        job = worker_ctx.origin
        return self._rules.attempt_of(job.delivery) if isinstance(job, Job) else Attempt()

    def describe_failure(self, worker_ctx: WorkerContext, error: BaseException) -> tuple[int, str]:
        """Return the level at which a worker's failure is logged, and what comes next."""
        judgement = self._judgement(worker_ctx, error)
        if judgement is None:
            return super().describe_failure(worker_ctx, error)
        if not judgement.verdict.is_final or isinstance(error, Reject):
            return logging.WARNING, str(judgement)
        is_told = self._rules.policy is not None or judgement.attempt.attempt > 1
        return self.failure_level(error), str(judgement) if is_told else ""

    def _make_rules(self) -> Rules:
        mapping = self.container.config["EVENT_RETRY"]
        default = None if mapping is None else policy_from(mapping, "EVENT_RETRY")
        policy = default if self.retry is UNSET else self.retry
        if policy is not None:
            self.messaging.require(f"retry of {self!r}", *NEEDED_TO_HOLD)
        can_hold = not self.messaging.settings.capabilities.missing(*NEEDED_TO_HOLD)
        by_request = default or Retry() if can_hold else Retry(1)
        return Rules(policy, by_request, requeues_first=self.requeue_on_error)

    def _make_holding(self) -> HoldQueues | HeldHere:
        queue = self.make_queue()
        if queue.exclusive:
            return HeldHere(self.messaging, self._resume)
        return HoldQueues(self.messaging, queue_type_of(queue))

    def _receive(self, delivery: Delivery) -> None:
        self.messaging.intake.submit(self.lane, delivery, self._work, self._terms)

    def _resume(self, job: Job, give_up: Callable[[], object]) -> None:
        def work() -> None:
            with suppress(ContainerBeingKilled):
                self._work(job)

        self.lane.submit(work, give_up)

    def _work(self, job: Job) -> None:
        try:
            payload = self.messaging.payload_of(job.delivery)
        except UndecodableMessage as exc:
            self._bury_unrun(job, UNDECODABLE, exc)
            return
        if self._is_wanted(job, payload):
            self._run(job, payload)

    def _is_wanted(self, job: Job, payload: Any) -> bool:
        if self.filter is None:
            return True
        try:
            is_wanted = bool(self.filter(payload))
        except KILLED:
            raise
        except BaseException as exc:  # the filter is the user's, and did not expect this payload
            self._bury_unrun(job, INVALID, exc)
            return False
        if not is_wanted:
            self.filtered += 1
            job.ack()
        return is_wanted

    def _run(self, job: Job, payload: Any) -> None:
        delivery = job.delivery
        message = delivery if delivery.exchange else as_published(delivery)
        context = self.messaging.context_of(delivery.headers)
        worker_ctx = self.container.run_worker(
            self, (payload,), {}, context, partial(self._handle, job), message=message, origin=job
        )
        if isinstance(worker_ctx.origin, Judgement):
            # Its error has a traceback that refers to the context: a cycle of garbage.
            judgement, worker_ctx.origin = worker_ctx.origin, job
            if self._aftermath is not None and judgement.verdict.is_final:
                args = payload, failure_of(judgement)
                handle = partial(self._handle_aftermath, judgement)
                self._aftermath.run(args, context, message, handle)

    def _handle(
        self, job: Job, worker_ctx: WorkerContext, result: Any, exc_info: ExcInfo | None
    ) -> Outcome:
        try:
            if exc_info is None:
                job.ack()
            else:
                self._settle_failure(self._judgement(worker_ctx, exc_info[1]))
        except Exception:
            job.requeue_later()
            raise
        return result, exc_info

    def _settle_failure(self, judgement: Judgement | None) -> None:
        assert judgement is not None  # a message fired the worker
        job, verdict, death = judgement.job, judgement.verdict, self._death(judgement)
        if verdict.is_requeued:
            job.requeue()
        elif verdict.pause is not None:
            self.retried += 1
            self._holding.hold(judgement, verdict.pause, death, self.dead_queue(job.delivery))
        elif self._aftermath is None:  # else it comes next, when this worker has ended
            self._bury(job, death)

    def _judgement(self, worker_ctx: WorkerContext, error: BaseException) -> Judgement | None:
        """Return the verdict on a worker's first error, which is its outcome; None without a job.

        It is kept, so that what is done is what the log says.
        """
        if isinstance(worker_ctx.origin, Job):
            worker_ctx.origin = self._rules.judge(worker_ctx.origin, error)
        return worker_ctx.origin if isinstance(worker_ctx.origin, Judgement) else None

    def _handle_aftermath(
        self,
        judgement: Judgement,
        _worker_ctx: WorkerContext,
        result: Any,
        exc_info: ExcInfo | None,
    ) -> Outcome:
        try:
            if exc_info is None:
                judgement.job.ack()
            else:
                self._bury(judgement.job, self._death(judgement, exc_info[1]))
        except Exception:
            judgement.job.requeue_later()
            raise
        return result, exc_info

    def _death(self, judgement: Judgement, second_error: BaseException | None = None) -> Death:
        attempts = judgement.attempt.attempt
        reason = judgement.verdict.reason
        return Death(reason, judgement.error, self._label(), attempts, second_error)

    def _crashed(self, job: Job, error: Exception) -> None:
        self._bury_unrun(job, CRASHED, error)

    def _bury_unrun(self, job: Job, reason: str, error: BaseException) -> None:
        attempts = max(1, history_of(job.delivery).attempts)
        self._bury(job, Death(reason, error, self._label(), attempts))

    def _bury(self, job: Job, death: Death) -> None:
        self.messaging.dead_letters.bury(job, self.dead_queue(job.delivery), death)


def _copy_of(job: Job) -> Outgoing:
    return copy_for_queue(job.delivery)
