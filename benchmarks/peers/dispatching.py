"""What a dispatcher and a handler of events do, and tell the runner.

It needs the standard library alone. Green threads are no matter here: `time.sleep` gives way
where it is patched, and nothing here needs more than that.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers.conversation import MOMENT, say, say_latencies, wait_until

TOO_LONG = 20.0  # seconds for dispatchers to end when they are told to


class Dispatching:
    """Dispatches events as fast as it goes, in as many threads as run `dispatch_repeatedly`.

    Each first dispatches one that does not count, to open what it needs. The last event of all
    carries their number. `settings` without seconds mean one event.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.seconds: float = settings.get("seconds", 0)
        self.warm_up: float = settings.get("warm_up", 0)
        self.failure: str | None = None
        self._size: int = settings["payload_size"]
        self._dispatchers: int = settings.get("in_flight", 1)
        self._note = "x" * (self._size - len(json.dumps(self._event("", 0))))
        self._counter = itertools.count()
        self._has_begun = self._is_over = False
        self._ended = 0

    def event(self, total: int = 0) -> dict[str, Any]:
        """Return an event that is dispatched now; `total` is in the last one alone."""
        return self._event(self._note, time.monotonic(), total)

    def _event(self, note: str, sent: float, total: int = 0) -> dict[str, Any]:
        return {"sent": f"{sent:.6f}", "total": total, "sku": "plum", "note": note}

    def dispatch_repeatedly(self, dispatch: Callable[[dict[str, Any]], object]) -> None:
        """Dispatch until the time is over; the first error ends everything."""
        try:
            dispatch(self._event(self._note, 0))
            wait_until(lambda: self._has_begun)
            while not self._is_over:
                dispatch(self.event())
                next(self._counter)
        except Exception as exc:  # whatever it is, the runner must hear of it
            self._fail(exc)
        self._ended += 1

    async def dispatch_repeatedly_async(
        self, dispatch: Callable[[dict[str, Any]], Awaitable[object]]
    ) -> None:
        """Dispatch until the time is over, in a task; the first error ends everything."""
        try:
            await dispatch(self._event(self._note, 0))
            while not self._has_begun:
                await asyncio.sleep(MOMENT)
            while not self._is_over:
                await dispatch(self.event())
                next(self._counter)
        except Exception as exc:  # whatever it is, the runner must hear of it
            self._fail(exc)
        self._ended += 1

    def measure(self, dispatch: Callable[[dict[str, Any]], object]) -> None:
        """Let the others dispatch, then dispatch the last event; tell the runner."""
        time.sleep(self.warm_up)  # this time is the warm-up: each dispatches its first event
        begin = self._begin()
        time.sleep(self.seconds)  # this time is what is measured
        self._is_over = True
        late = begin + TOO_LONG
        wait_until(lambda: self._ended >= self._dispatchers or time.perf_counter() >= late)
        total = next(self._counter) + 1
        dispatch(self.event(total))
        self._end(begin, total)

    def measure_here(self, dispatch: Callable[[dict[str, Any]], object]) -> None:
        """Do it all in this thread, the only one that dispatches; tell the runner."""
        dispatch(self._event(self._note, 0))
        begin = self._begin()
        while time.perf_counter() < begin + self.seconds:
            dispatch(self.event())
            next(self._counter)
        total = next(self._counter) + 1
        dispatch(self.event(total))
        self._end(begin, total)

    async def measure_async(self, dispatch: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
        """Let the others dispatch, then dispatch the last event; tell the runner."""
        await asyncio.sleep(self.warm_up)
        begin = self._begin()
        await asyncio.sleep(self.seconds)
        self._is_over = True
        while self._ended < self._dispatchers and time.perf_counter() < begin + TOO_LONG:
            await asyncio.sleep(MOMENT)
        total = next(self._counter) + 1
        await dispatch(self.event(total))
        self._end(begin, total)

    def say_done(self) -> None:
        """Tell the runner that the one event is out."""
        say("end", calls=1, seconds=0, failure=None)

    def _begin(self) -> float:
        say("begin")
        self._has_begun = True
        return time.perf_counter()

    def _end(self, begin: float, total: int) -> None:
        say("end", calls=total, seconds=time.perf_counter() - begin, failure=self.failure)

    def _fail(self, exc: Exception) -> None:
        self.failure = f"{type(exc).__name__}: {exc}"


class Handling:
    """What the handlers of a service see: counts their events until they had the last one.

    `total` is known from the start where a queue is drained; else the last event says it.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._handlers: int = settings.get("handlers", 1)
        self._total: int = settings.get("total", 0)
        self._is_drain = self._total > 0
        self._begin = 0.0
        self._latencies: list[float] = []
        self._lock = threading.Lock()  # some peers handle in threads

    def handle(self, event: dict[str, Any]) -> None:
        """Take an event; tell the runner when it was the last."""
        now, sent = time.monotonic(), float(event["sent"])
        if not sent:
            return  # it only opened what its dispatcher needs
        with self._lock:
            self._latencies.append(now - sent)
            if len(self._latencies) == 1:
                self._first(now, sent)
            self._total = event["total"] or self._total
            if len(self._latencies) == self._total * self._handlers:
                say("end", handled=len(self._latencies), seconds=now - self._begin)
                say_latencies(self._latencies)

    def _first(self, now: float, sent: float) -> None:
        self._begin = now if self._is_drain else sent
        if self._is_drain:
            say("begin")
