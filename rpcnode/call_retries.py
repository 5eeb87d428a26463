"""Which failed calls are made again, and when: a decision, nothing here waits or sends."""

import time

from rpcnode.backoff import Attempt
from rpcnode.calls import Budget
from rpcnode.exceptions import (
    BadRequest,
    ConnectionLost,
    OutcomeUnknown,
    RpcError,
    RpcNodeError,
)
from rpcnode.proxies import MethodProxy
from rpcnode.retries import Retry


class CallRetry:
    """Follows the attempts of one call; `policy` is that of its options.

    All attempts together have the time of the one call.
    """

    def __init__(self, method: MethodProxy, policy: Retry, budget: Budget) -> None:
        self._method = method
        self._policy = policy
        self._budget = budget
        self._attempt = Attempt(1, policy.max_attempts)

    def delay_after(self, error: Exception) -> float | None:
        """Return the seconds until the next attempt, after one that failed with `error`.

        Return None when there is none: the error is the outcome of the call, then.
        """
        delay = None
        if may_call_again(self._method, error):
            delay = self._policy.next_delay(error, self._attempt, time.time())
        left = self._budget.left()
        if delay is None or (left is not None and delay >= left):
            self._note(error)
            return None
        self._attempt = Attempt(
            self._attempt.attempt + 1,
            self._policy.max_attempts,
            self._attempt.first_at or time.time(),
            f"{type(error).__name__}: {error}",
            self._attempt.delay_so_far + delay,
        )
        return delay

    def _note(self, error: Exception) -> None:
        if self._attempt.attempt > 1:
            error.add_note(f"after {self._attempt.attempt} attempts")


def may_call_again(method: MethodProxy, error: Exception) -> bool:
    """Return whether a call that failed may be made again without harm.

    Either it was not run, or running it twice is harmless: its service says so in the error
    (`is_retryable`), or the caller does. Calls that could never succeed are left out.
    """
    if getattr(error, "is_retryable", False) is True:
        return True
    return method.is_idempotent and _is_outcome(error)


def _is_outcome(error: Exception) -> bool:
    """Return whether this may end otherwise next time: what was sent was no nonsense."""
    if isinstance(error, (BadRequest, OutcomeUnknown)):
        return False
    return isinstance(error, (RpcError, ConnectionLost)) or not isinstance(error, RpcNodeError)
