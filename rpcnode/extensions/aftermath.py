"""The method that takes care of a message when there will be no other attempt."""

import inspect
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rpcnode.amqp.copies import text_of
from rpcnode.concurrency import kill, spawn
from rpcnode.exceptions import ConfigurationError, IncorrectSignature
from rpcnode.extensions.base import Entrypoint, check_method

if TYPE_CHECKING:
    from rpcnode.amqp.message import Delivery
    from rpcnode.extensions.retry import Judgement
    from rpcnode.workers import HandleResult


@dataclass(frozen=True, slots=True)
class Failure:
    """What `on_exhausted` is told of a message that is given up.

    - `reason`: "exhausted", "rejected" or "expired", as for dead letters.
    - `exception`: what the last attempt raised; `exc_type` and `message` are its class's name
      and its text.
    - `attempts`: how often the handler was run with it.
    - `first_failed` and `last_failed`: when, in Unix seconds.
    """

    reason: str
    exception: BaseException
    exc_type: str
    message: str
    attempts: int
    first_failed: float
    last_failed: float


def failure_of(judgement: "Judgement") -> Failure:
    """Return what there is to tell of a failed attempt."""
    first_at = judgement.attempt.first_at
    return Failure(
        judgement.verdict.reason,
        judgement.error,
        type(judgement.error).__name__,
        text_of(judgement.error),
        judgement.attempt.attempt,
        judgement.failed_at if first_at is None else first_at,
        judgement.failed_at,
    )


class Aftermath(Entrypoint):
    """Fires the method that `on_exhausted` names; nothing from outside does.

    Its workers take the places of those that failed: they have the same lane and the same limit
    of time.
    """

    @classmethod
    def of(cls, handler: Entrypoint, method_name: str) -> "Aftermath":
        """Return the one of a bound handler; raise ConfigurationError if it cannot work."""
        made = cls(sensitive_arguments=handler.sensitive_arguments, timeout=handler.timeout)
        bound = made.bind(handler.container, method_name)
        bound.lane = handler.lane
        bound._check(handler)
        return bound

    def _check(self, handler: Entrypoint) -> None:
        service_cls, name = self.container.service_cls, self.method_name
        method = inspect.getattr_static(service_cls, name, None)
        if not callable(method) and not isinstance(method, (staticmethod, classmethod)):
            raise ConfigurationError(
                f"{handler!r}: on_exhausted is {name!r}, and {service_cls.__name__} has no such "
                "method"
            )
        check_method(f"{service_cls.__name__}.{name}", method)
        try:
            self.check_signature(("payload", "failure"), {})
        except IncorrectSignature as exc:
            raise ConfigurationError(
                f"{handler!r}: on_exhausted: {exc}: write `def {name}(self, payload, failure)`"
            ) from exc

    def run(
        self,
        args: tuple[Any, ...],
        context_data: dict[str, Any],
        message: "Delivery",
        handle: "HandleResult",
    ) -> None:
        """Run the method in a worker of its own; return when that has ended."""
        # A thread of its own, and an empty context: nothing of the failed worker is seen in it.
        thread = Context().run(
            spawn,
            self.container.run_worker,
            self,
            args,
            {},
            context_data,
            handle,
            message=message,
        )
        try:
            thread.wait()
        except BaseException:  # the lane kills us: it does not know of the other thread
            kill(thread)
            raise
