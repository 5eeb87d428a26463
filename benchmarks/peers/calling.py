"""What a client that calls does, and tells the runner; needs the standard library alone.

Green threads are no matter here: `time.sleep` gives way where it is patched, and nothing here
needs more than that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.conversation import say, say_latencies, wait_until


class Load:
    """Calls as fast as replies come, in as many green threads as run `call_repeatedly`.

    A client of another make keeps calls in flight itself while not `is_over`, and records each.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.seconds: float = settings["seconds"]
        self.warm_up: float = settings["warm_up"]
        self.failure: str | None = None
        self.is_over = False
        self._latencies: list[float] = []

    def record(self, seconds: float) -> None:
        """Note that a call has taken so long."""
        self._latencies.append(seconds)

    def fail(self, exc: BaseException) -> None:
        """Note that a call has failed: nothing counts any more."""
        self.failure = f"{type(exc).__name__}: {exc}"
        self.is_over = True

    def call_repeatedly(self, call: Callable[[], object]) -> None:
        """Call until the time is over; the first error ends everything."""
        clock = time.perf_counter
        try:
            while not self.is_over:
                begin = clock()
                call()
                self._latencies.append(clock() - begin)
        except Exception as exc:  # whatever it is, the runner must hear of it
            self.fail(exc)

    async def await_repeatedly(self, call: Callable[[], Awaitable[object]]) -> None:
        """Call until the time is over, in a task of its own; the first error ends everything."""
        clock = time.perf_counter
        try:
            while not self.is_over:
                begin = clock()
                await call()
                self._latencies.append(clock() - begin)
        except Exception as exc:  # whatever it is, the runner must hear of it
            self.fail(exc)

    def measure(self, *, is_last: bool = True) -> None:
        """Let the calls warm up, then count them; tell the runner."""
        time.sleep(self.warm_up)  # this time is the warm-up: the callers work meanwhile
        begin = self._begin()
        time.sleep(self.seconds)  # this time is what is measured
        self._end(begin, is_last=is_last)

    async def measure_async(self) -> None:
        """Let the calls warm up, then count them; tell the runner."""
        await asyncio.sleep(self.warm_up)
        begin = self._begin()
        await asyncio.sleep(self.seconds)
        self._end(begin)

    def _begin(self) -> float:
        self._latencies.clear()
        say("begin")
        return time.perf_counter()

    def _end(self, begin: float, *, is_last: bool = True) -> None:
        seconds = time.perf_counter() - begin
        latencies = self._latencies.copy()
        # The runner reads the processes' CPU time now; the sorting must not be part of it.
        say("end", calls=len(latencies), seconds=seconds, failure=self.failure)
        self.is_over = is_last
        say_latencies(latencies)


class Count:
    """Calls until there were enough of them, and tells the runner of each mark on the way."""

    def __init__(self, marks: list[int]) -> None:
        self._marks = list(marks)
        self._calls = 0

    def call_repeatedly(self, call: Callable[[], object]) -> None:
        """Call until the last mark; an error ends the program's words."""
        while self._marks:
            call()
            self._calls += 1
            if self._marks and self._calls >= self._marks[0]:
                say("reached", calls=self._marks.pop(0))

    def wait(self) -> None:
        """Wait for the last mark."""
        wait_until(lambda: not self._marks)


def call_first(call: Callable[[], object]) -> None:
    """Make one call, whose service may still be starting; tell the runner when it was answered."""
    say("begin")
    failure = None
    try:
        call()
    except Exception as exc:  # whatever it is, the runner must hear of it
        failure = f"{type(exc).__name__}: {exc}"
    say("end", at=time.monotonic(), failure=failure)


async def call_first_async(call: Callable[[], Awaitable[object]]) -> None:
    """Make one call, whose service may still be starting; tell the runner when it was answered."""
    say("begin")
    await call()
    say("end", at=time.monotonic(), failure=None)
