"""What a worker tells the world only if it succeeds: it is kept until then."""

from collections.abc import Callable

from rpcnode.concurrency import kill, spawn
from rpcnode.context import WorkerContext
from rpcnode.exceptions import RpcNodeError

AT_ONCE = 100  # messages whose confirms are awaited together


class Postponed:
    """What is called once the worker has completed, in order, many at once.

    The first error is raised when all have ended; what failed is not tried again.
    """

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def __call__(self) -> None:
        """Make the calls; return when all have returned."""
        for start in range(0, len(self.calls), AT_ONCE):
            _call_together(self.calls[start : start + AT_ONCE])


def postpone(worker_ctx: WorkerContext, call: Callable[[], object]) -> None:
    """Have `call` made once the worker has completed, and not at all if it fails.

    Raises RpcNodeError for a worker that has ended, because then nobody would ever make it.
    """
    if worker_ctx.is_completed:
        raise RpcNodeError(
            f"{worker_ctx.call_id} has completed: it is too late for what waits for its success"
        )
    waiting = worker_ctx.after_complete
    if not (waiting and isinstance(waiting[-1], Postponed)):
        waiting.append(Postponed())
    last = waiting[-1]
    assert isinstance(last, Postponed)
    last.calls.append(call)


def _call_together(calls: list[Callable[[], object]]) -> None:
    errors: list[BaseException] = []
    # They begin in this order, and each writes its message before it first waits.
    threads = [spawn(_note_error, call, errors) for call in calls]
    try:
        for thread in threads:
            thread.join(None)
    except BaseException:  # the worker is killed: it tells nobody anything any more
        for thread in threads:
            kill(thread)
        raise
    if errors:
        raise errors[0]


def _note_error(call: Callable[[], object], errors: list[BaseException]) -> None:
    try:
        call()
    except Exception as exc:  # the worker raises it when all have ended
        errors.append(exc)
