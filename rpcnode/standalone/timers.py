"""What is to be done at some moment. It does no I/O and knows no clock."""

import heapq
from collections.abc import Callable, Iterator
from typing import Any

FEW = 1000  # cancelled timers that are not worth a clean-up


class Timer:
    """One thing to do, `function(argument)`, until it is done or cancelled."""

    __slots__ = ("_timers", "argument", "at", "function")

    def __init__(
        self, timers: "Timers", at: float, function: Callable[[Any], object], argument: Any
    ) -> None:
        self._timers = timers
        self.at = at
        self.function: Callable[[Any], object] | None = function
        self.argument = argument

    def __lt__(self, other: "Timer") -> bool:
        return self.at < other.at

    def cancel(self) -> None:
        """Make sure that it is not done any more."""
        if self.function is not None:
            self.function = self.argument = None
            self._timers.note_cancelled()


class Timers:
    """Timers in the order of their moments; adding and cancelling one takes O(log n).

    Most are cancelled long before they are due, as most calls get a reply. So that these do not
    pile up, they are removed when they are the majority.
    """

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, at: float, function: Callable[[Any], object], argument: Any = None) -> Timer:
        """Enter `function(argument)` for the moment `at`."""
        timer = Timer(self, at, function, argument)
        heapq.heappush(self._heap, timer)
        return timer

    def next(self) -> float | None:
        """Return the moment of the first timer, None without one."""
        heap = self._heap
        while heap and heap[0].function is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0].at if heap else None

    def due(self, now: float) -> Iterator[tuple[Callable[[Any], object], Any]]:
        """Remove the timers of all moments until `now`; yield their functions and arguments."""
        while (at := self.next()) is not None and at <= now:
            timer = heapq.heappop(self._heap)
            function, argument = timer.function, timer.argument
            timer.function = timer.argument = None  # cancelling it changes nothing any more
            if function is not None:
                yield function, argument

    def note_cancelled(self) -> None:
        """Take note that one more is cancelled."""
        self._cancelled += 1
        if self._cancelled > FEW and self._cancelled * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if timer.function is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
