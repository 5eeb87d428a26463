"""The timer entrypoint."""

import random
from time import monotonic
from typing import Any

from rpcnode.concurrency import Event
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import Entrypoint

OVERLAPS = ("skip", "allow")


class Timer(Entrypoint):
    """Fires every `interval` seconds, counted from the start of the container.

    A tick takes place in each instance of the service. Ticks never drift, and what was missed
    is not made up for: `skipped` counts the moments that passed without a tick. Errors of the
    method are logged and change nothing.

    - `eager`: the first tick is at once, not after one interval.
    - `jitter`: each tick is late by a random part of so many seconds, at most an interval.
    - `overlap`: "skip" leaves a tick out while the one before it still runs; "allow" runs them
      side by side, as far as the lane has workers: one tick at a time waits for a worker.
    """

    def __init__(
        self,
        interval: float,
        eager: bool = False,
        *,
        jitter: float = 0,
        overlap: str = "skip",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not _is_number(interval) or not 0 < interval < float("inf"):
            raise ConfigurationError(f"timer: interval must be above 0 seconds, not {interval!r}")
        if not _is_number(jitter) or not 0 <= jitter <= interval:
            raise ConfigurationError(f"timer: jitter must be 0 to {interval} s, not {jitter!r}")
        if overlap not in OVERLAPS:
            raise ConfigurationError(f"timer: overlap must be one of {OVERLAPS}, not {overlap!r}")
        self.interval = interval
        self.eager = eager
        self.jitter = jitter
        self.overlap = overlap
        self.skipped = 0

    def setup(self) -> None:
        """Make what a stop needs; ConfigurationError when the method wants arguments."""
        self.check_takes_nothing()
        self._stopping: Event[None] = Event()
        self._waiting = 0  # ticks without a worker so far
        self._running = 0

    def start(self) -> None:
        """Begin to count."""
        self.container.spawn_managed_thread(self._count, repr(self))

    def stop(self) -> None:
        """Fire no more; the container waits for a tick that runs."""
        self._stopping.set()

    def kill(self) -> None:
        """Fire no more."""
        self.stop()

    def _count(self) -> None:
        begin = monotonic()
        number = 0 if self.eager else 1
        while not self._sleep_until(begin + number * self.interval):
            # After a hold-up of the process, the moments that went by come at once. All but the
            # first are skipped, because that one has no worker yet: nothing waits in between.
            self._tick()
            number += 1

    def _sleep_until(self, moment: float) -> bool:
        late = random.random() * self.jitter
        return self._stopping.wait(moment + late - monotonic())

    def _tick(self) -> None:
        is_busy = self._waiting or (self._running and self.overlap == "skip")
        if is_busy:
            self.skipped += 1
            return
        self._waiting += 1
        self.lane.submit(self._run, self._drop)

    def _run(self) -> None:
        self._waiting -= 1
        self._running += 1
        try:
            self.container.run_worker(self, (), {})
        finally:
            self._running -= 1

    def _drop(self) -> None:
        self._waiting -= 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


timer = Timer.decorator
