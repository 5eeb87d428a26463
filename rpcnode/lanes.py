"""Lanes: how many workers of which entrypoints run at the same time."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass

from rpcnode.concurrency import Event, GreenThread, getcurrent, kill, spawn
from rpcnode.exceptions import ContainerBeingKilled

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    """Something that waits for a free worker, with the context of whoever asked for it."""

    run: Callable[[], object]
    drop: Callable[[], object]
    context: Context
    on_start: Callable[[GreenThread], object] | None = None


class Lane:
    """Runs jobs in fresh green threads, at most `max_workers` at a time, in order of arrival."""

    def __init__(self, name: str, max_workers: int) -> None:
        self.name = name
        self.max_workers = max_workers
        self.threads: set[GreenThread] = set()
        self._waiting: deque[_Request] = deque()
        self._is_closed = False
        self._idle: Event[None] = Event()

    def __repr__(self) -> str:
        return f"<Lane {self.name}: {self.running} of {self.max_workers}, {self.pending} waiting>"

    @property
    def running(self) -> int:
        """How many workers are busy."""
        return len(self.threads)

    @property
    def pending(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._waiting)

    def submit(self, run: Callable[[], object], drop: Callable[[], object]) -> None:
        """Call `run` in a green thread of its own as soon as a worker is free; never block.

        `drop` is called instead when the lane closes before that. Neither should raise: an
        error is logged.
        """
        if self._is_closed:
            _drop(drop)
        elif len(self.threads) < self.max_workers:
            self._start(run)
        else:
            self._waiting.append(_Request(run, drop, copy_context()))

    def spawn(self, run: Callable[[], object]) -> GreenThread:
        """Call `run` in a green thread of its own and return that; block until a worker is free.

        Raises ContainerBeingKilled when the lane is closed, now or while waiting.
        """
        if self._is_closed:
            raise self._refusal()
        if len(self.threads) < self.max_workers:
            return self._start(run)
        started: Event[GreenThread] = Event()
        job = _Request(run, lambda: started.fail(self._refusal()), copy_context(), started.set)
        self._waiting.append(job)
        try:
            started.wait()
        except BaseException:  # killed, or out of time: nobody waits for the worker any more
            with suppress(ValueError):
                self._waiting.remove(job)
            raise
        return started.result()

    def drop_pending(self) -> None:
        """Close the lane: what was not started is dropped, one by one; the rest runs on."""
        self._is_closed = True
        while self._waiting:
            _drop(self._waiting.popleft().drop)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no worker runs, at most `timeout` seconds; return whether none does."""
        if not self.threads:
            return True
        return self._idle.wait(timeout)

    def kill(self) -> None:
        """Close the lane and kill its workers, but for one that asks for it; do not wait."""
        self.drop_pending()
        for thread in self.threads - {getcurrent()}:
            kill(thread)

    def _refusal(self) -> ContainerBeingKilled:
        return ContainerBeingKilled(f"{self.name} is stopping: it takes no new work")

    def _start(self, run: Callable[[], object]) -> GreenThread:
        thread = spawn(run)
        self.threads.add(thread)
        # A link also fires for a thread that is killed before it began.
        thread.link(self._ended)
        return thread

    def _ended(self, thread: GreenThread) -> None:
        self.threads.discard(thread)
        if self._waiting:
            self._start_next()
        elif not self.threads:
            self._idle.set()
            self._idle = Event()

    def _start_next(self) -> None:
        # This runs at the end of another worker: its context variables must not be inherited.
        job = self._waiting.popleft()
        thread = job.context.run(self._start, job.run)
        if job.on_start is not None:
            job.on_start(thread)


def _drop(drop: Callable[[], object]) -> None:
    try:
        drop()
    except Exception:  # the others must be dropped as well
        logger.error("dropping a job failed", exc_info=True)
