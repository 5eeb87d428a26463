"""What is to become of a message whose handler failed: it is decided here, and done elsewhere."""

import time
from dataclasses import dataclass

from rpcnode.amqp.copies import history_of, not_after
from rpcnode.amqp.dead import EXHAUSTED, EXPIRED, REJECTED
from rpcnode.amqp.message import Delivery
from rpcnode.backoff import Attempt
from rpcnode.context import WorkerContext
from rpcnode.exceptions import Reject, RetryLater
from rpcnode.extensions.base import DependencyProvider
from rpcnode.extensions.intake import Job
from rpcnode.retries import Pause, Retry


class RetryInfo(DependencyProvider):
    """Injects the `Attempt` that the worker is: which one, of how many, and why again.

    What no message fired, or what is never tried again, is the first attempt of one.
    """

    def get_dependency(self, worker_ctx: WorkerContext) -> Attempt:
        """Return what is known of this attempt and those before."""
        attempt_of = getattr(worker_ctx.entrypoint, "attempt_of", None)
        attempt = None if attempt_of is None else attempt_of(worker_ctx)
        return attempt if isinstance(attempt, Attempt) else Attempt()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a message: it is held for a `pause`, requeued, or dead of a `reason`."""

    pause: Pause | None = None
    is_requeued: bool = False
    reason: str = EXHAUSTED

    @property
    def is_final(self) -> bool:
        """Whether there will be no other attempt."""
        return self.pause is None and not self.is_requeued


@dataclass(frozen=True, slots=True)
class Judgement:
    """A failed attempt, its error, and the verdict on it; `failed_at` is in Unix seconds."""

    job: Job
    error: BaseException
    attempt: Attempt
    failed_at: float
    verdict: Verdict

    def __str__(self) -> str:
        counted = f"attempt {self.attempt.attempt} of {self.attempt.max_attempts}"
        if self.verdict.pause is not None:
            return f"{counted}, the next one is in {self.verdict.pause.seconds:.1f} s"
        if self.verdict.is_requeued:
            return f"{counted}, it is requeued"
        return f"{counted}, there is no other one: {self.verdict.reason}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How one handler deals with failures.

    `policy` is None where nothing is tried again but what asks for it with RetryLater; that is
    bounded by `by_request` then. With `requeues_first` a first failure puts the message back to
    its queue at once, and the policy begins with the second.
    """

    policy: Retry | None
    by_request: Retry
    requeues_first: bool = False

    def attempt_of(self, delivery: Delivery) -> Attempt:
        """Return which attempt a delivery is."""
        history = history_of(delivery)
        attempts = history.attempts + 1
        if self.requeues_first and not history.attempts and delivery.redelivered:
            attempts += 1
        first_failed = history.first_failed
        return Attempt(
            attempts,
            max((self.policy or self.by_request).max_attempts, attempts),
            None if first_failed is None else first_failed / 1000,
            history.last_error,
            history.delayed_ms / 1000,
        )

    def judge(self, job: Job, error: BaseException) -> Judgement:
        """Return the verdict on a message whose handler has just failed with `error`."""
        attempt, now = self.attempt_of(job.delivery), time.time()
        verdict = self._verdict(attempt, error, now)
        if verdict.pause is not None:
            ends = not_after(job.delivery, round(now * 1000))
            if ends is not None and (now + verdict.pause.seconds) * 1000 > ends:
                verdict = Verdict(reason=EXPIRED)
        return Judgement(job, error, attempt, now, verdict)

    def _verdict(self, attempt: Attempt, error: BaseException, now: float) -> Verdict:
        if isinstance(error, Reject):
            return Verdict(reason=REJECTED)
        if isinstance(error, RetryLater):
            return Verdict((self.policy or self.by_request).pause(attempt, now, error.delay))
        if self.policy is not None and not self.policy.allows(error):
            return Verdict()
        if self.requeues_first and attempt.attempt == 1:
            return Verdict(is_requeued=True)
        return Verdict() if self.policy is None else Verdict(self.policy.pause(attempt, now))
