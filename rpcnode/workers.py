"""The life of one worker: one instance of the service runs one method once.

1. Every dependency is injected, in order of declaration.
2. `worker_setup`, in the same order.
3. The method runs, and the entrypoint encodes its result. Only up to here can a deadline end it.
4. `worker_complete`, in reverse order; the first error is the outcome.
5. The outcome is handled: replied, acknowledged, tried again.
6. `worker_result`: too late to change anything.
7. `worker_teardown`, in reverse order, whatever happened.
"""

import inspect
import logging
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from rpcnode.concurrency import GreenletExit, call_later, getcurrent
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import DeadlineExceeded

logger = logging.getLogger(__name__)

Outcome = tuple[Any, ExcInfo | None]
HandleResult = Callable[[WorkerContext, Any, Any], Outcome | None]
KILLED = (GreenletExit, KeyboardInterrupt)  # these end the worker; whatever else is its outcome


class Worker:
    """Runs the method that `worker_ctx` is about; `handle_result` tells whoever waits for it."""

    def __init__(self, worker_ctx: WorkerContext, handle_result: HandleResult | None) -> None:
        self._ctx = worker_ctx
        self._handle_result = handle_result
        self._providers: list[Any] = list(worker_ctx.container.dependencies)
        self._observers = worker_ctx.container.observers
        self._begun: list[Any] = []  # providers whose worker_setup was called
        self._ready: list[Any] = []  # providers whose worker_setup returned

    def run(self) -> None:
        """Live: go through the seven steps; who is killed goes to the last at once."""
        for observe in self._observers.worker_started:
            observe(self._ctx)
        outcome: Outcome = None, None
        try:
            outcome = self._complete(self._attempt())
            outcome = self._handle(outcome)
            for observe in self._observers.worker_completed:
                observe(self._ctx, *outcome)
            self._tell(outcome)
        finally:
            outcome = None, None  # its traceback refers to this frame: a cycle of garbage
            self._tear_down()
            for observe in self._observers.worker_finished:
                observe(self._ctx)

    def _attempt(self) -> Outcome:
        try:
            result = self._in_time(self._produce)
            self._ctx.encoded_result = self._ctx.entrypoint.encode_result(self._ctx, result)
        except KILLED:
            raise
        except BaseException:  # an exit or a timeout of the method's own is an outcome, too
            self._log_failure()
            return None, _exc_info()
        return result, None

    def _in_time(self, produce: Callable[[], Any]) -> Any:
        """Call `produce`; throw DeadlineExceeded into it when the worker's time is over."""
        remaining = self._time_left()
        if remaining is None:
            return produce()
        if remaining <= 0:
            raise self._overrun(remaining)
        current = getcurrent()
        timer = call_later(remaining, lambda: current.throw(self._overrun(remaining)))
        try:
            return produce()
        finally:
            timer.cancel()

    def _overrun(self, seconds: float) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._ctx.call_id} ran past its deadline, which left it {seconds:.3g} s"
        )

    def _time_left(self) -> float | None:
        timeout = self._ctx.entrypoint.timeout
        if timeout is not None:
            ends = monotonic() + timeout
            deadline = self._ctx.deadline
            self._ctx.deadline = ends if deadline is None else min(deadline, ends)
        return self._ctx.remaining()

    def _produce(self) -> Any:
        self._inject()
        self._set_up()
        return self._call()

    def _inject(self) -> None:
        service = self._ctx.container.service_cls()
        self._ctx.service = service
        for provider in self._providers:
            setattr(service, provider.attr_name, provider.get_dependency(self._ctx))

    def _set_up(self) -> None:
        for provider in self._providers:
            self._begun.append(provider)
            provider.worker_setup(self._ctx)
            self._ready.append(provider)

    def _call(self) -> Any:
        method = getattr(self._ctx.service, self._ctx.entrypoint.method_name)
        result = method(*self._ctx.args, **self._ctx.kwargs)
        if not inspect.isgenerator(result):
            return result
        # Without somebody who takes item by item, a test for example, they are collected, too.
        is_collected = self._ctx.entrypoint.collects_items or self._ctx.origin is None
        return list(result) if is_collected else result

    def _complete(self, outcome: Outcome) -> Outcome:
        for provider in reversed(self._ready):
            outcome = self._protected(outcome, provider.worker_complete, self._ctx, *outcome)
        if outcome[1] is None:
            for call in self._ctx.after_complete:
                outcome = self._protected(outcome, call)
        self._ctx.is_completed = True
        return outcome

    def _protected(self, outcome: Outcome, call: Callable[..., object], *args: Any) -> Outcome:
        try:
            call(*args)
        except KILLED:
            raise
        except BaseException:  # the others still run; the first error is the outcome
            self._log_failure()
            return outcome if outcome[1] is not None else (None, _exc_info())
        return outcome

    def _handle(self, outcome: Outcome) -> Outcome:
        if self._handle_result is None:
            return outcome
        try:
            return self._handle_result(self._ctx, *outcome) or outcome
        except KILLED:
            raise
        except BaseException:  # the message stays unacknowledged; the broker gives it out again
            logger.error("handling the result of %s failed", self._ctx.call_id, exc_info=True)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        for provider in self._providers:
            try:
                provider.worker_result(self._ctx, *outcome)
            except KILLED:
                raise
            except BaseException:  # it is too late to change anything
                logger.error("%r failed in worker_result", provider, exc_info=True)

    def _tear_down(self) -> None:
        for provider in reversed(self._begun):
            try:
                provider.worker_teardown(self._ctx)
            except KeyboardInterrupt:
                raise
            except BaseException:  # even a kill: the others are torn down as well
                logger.error("%r failed in worker_teardown", provider, exc_info=True)

    def _log_failure(self) -> None:
        level, what_next = self._ctx.entrypoint.describe_failure(self._ctx, _exc_info()[1])
        what_next = what_next and f": {what_next}"
        logger.log(level, "worker %s failed%s", self._ctx.call_id, what_next, exc_info=True)


def _exc_info() -> ExcInfo:
    return sys.exc_info()  # type: ignore[return-value]  # asked for in except clauses only
