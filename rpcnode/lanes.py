"""Lanes: how many workers of which entrypoints run at the same time."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from time import monotonic

from rpcnode.concurrency import Event, GreenThread, call_later, getcurrent, kill, sleep, spawn
from rpcnode.exceptions import ContainerBeingKilled

logger = logging.getLogger(__name__)

SLICE = 500  # jobs that are dropped (2 ms) before heartbeats and acks have their turn
LOOKS = 10  # in the time that a job may wait, so many looks are taken at what waits too long


@dataclass(slots=True, eq=False)
class WaitingRoom:
    """Where jobs of one kind wait for a worker of a lane.

    At most `limit` of them, each less than `longest` seconds; None is without limit. It is about
    one kind, because a lane has several: events that wait must not keep calls out.
    """

    limit: int | None = None
    longest: float | None = None
    waiting: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no other job may wait."""
        return self.limit is not None and self.waiting >= self.limit


@dataclass(slots=True, eq=False)
class _Request:
    """Something that waits for a free worker, with the context of whoever asked for it."""

    run: Callable[[], object]
    drop: Callable[[], object]
    context: Context
    on_start: Callable[[GreenThread], object] | None = None
    room: WaitingRoom | None = None
    ends: float | None = None  # when it has waited too long


class Lane:
    """Runs jobs in fresh green threads, at most `max_workers` at a time, in order of arrival."""

    def __init__(self, name: str, max_workers: int) -> None:
        self.name = name
        self.max_workers = max_workers
        self.threads: set[GreenThread] = set()
        self._waiting: deque[_Request] = deque()
        self._is_closed = False
        self._is_watched = False
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

    def submit(
        self,
        run: Callable[[], object],
        drop: Callable[[], object],
        room: WaitingRoom | None = None,
    ) -> bool:
        """Call `run` in a green thread of its own as soon as a worker is free; never block.

        `drop` is called instead when the lane closes before that, or when the job has waited in
        `room` for too long. Neither should raise: an error is logged. Return False, and do
        nothing, when no worker is free and the room is full.
        """
        if self._is_closed:
            _drop(drop)
        elif len(self.threads) < self.max_workers:
            self._start(run)
        elif room is None:
            self._waiting.append(_Request(run, drop, copy_context()))
        elif room.is_full:
            return False
        else:
            self._wait_in(room, _Request(run, drop, copy_context(), room=room))
        return True

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

    def close(self) -> None:
        """Start nothing any more; what runs runs on, what waits is for `drop_pending`."""
        self._is_closed = True

    def drop_pending(self) -> None:
        """Close the lane and drop what was not started, one by one; the rest runs on.

        Others have their turn in between: thousands of jobs would hold up heartbeats and acks.
        """
        _drop_in_slices(self._take_waiting())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no worker runs, at most `timeout` seconds; return whether none does."""
        if not self.threads:
            return True
        return self._idle.wait(timeout)

    def kill(self) -> None:
        """Close the lane and kill its workers, but for one that asks for it; do not wait."""
        waiting = self._take_waiting()
        if waiting:
            spawn(_drop_in_slices, waiting)
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
        if self._waiting and not self._is_closed:
            self._start_next()
        elif not self.threads:
            self._idle.set()
            self._idle = Event()

    def _start_next(self) -> None:
        # This runs at the end of another worker: its context variables must not be inherited.
        job = self._waiting.popleft()
        if job.room is not None:
            job.room.waiting -= 1
        thread = job.context.run(self._start, job.run)
        if job.on_start is not None:
            job.on_start(thread)

    def _wait_in(self, room: WaitingRoom, job: _Request) -> None:
        room.waiting += 1
        self._waiting.append(job)
        if room.longest is not None:
            job.ends = monotonic() + room.longest
            if not self._is_watched:
                self._is_watched = True
                call_later(room.longest * (1 - 1 / LOOKS), self._look, room.longest / LOOKS)

    def _look(self, period: float) -> None:
        """Drop what will have waited for too long at the next look; one timer looks at all."""
        limit = monotonic() + period
        late = [job for job in self._waiting if job.ends is not None and job.ends <= limit]
        if late:
            logger.warning(
                "%s has no worker for %d jobs that have waited as long as they may: they are given "
                "back",
                self.name,
                len(late),
            )
            gone = set(map(id, late))
            self._waiting = deque(job for job in self._waiting if id(job) not in gone)
            _drop_all(late)
        self._is_watched = any(job.ends is not None for job in self._waiting)
        if self._is_watched:
            call_later(period, self._look, period)

    def _take_waiting(self) -> deque[_Request]:
        self.close()
        waiting, self._waiting = self._waiting, deque()
        return waiting


def _drop_in_slices(jobs: deque[_Request]) -> None:
    try:
        while jobs:
            _drop_all([jobs.popleft() for _ in range(min(SLICE, len(jobs)))])
            if jobs:
                sleep(0)
    except BaseException:  # killed: somebody may wait for the rest of them
        _drop_all(jobs)
        raise


def _drop_all(jobs: Iterable[_Request]) -> None:
    for job in jobs:
        if job.room is not None:
            job.room.waiting -= 1
        _drop(job.drop)


def _drop(drop: Callable[[], object]) -> None:
    try:
        drop()
    except Exception:  # the others must be dropped as well
        logger.error("dropping a job failed", exc_info=True)
