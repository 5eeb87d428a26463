"""What is to run in the hub: in its next round, or later."""

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Any

from rpcnode.concurrency.backend import greenlet, hubs, native_threading

logger = logging.getLogger(__name__)

FEWEST_TO_FORGET = 1000  # cancelled timers that are not worth sorting out
LONGEST_TIMER = 1e6  # seconds, eleven days; for 25 days the hub's poll would overflow


class TimerHandle:
    """A call that was asked for later; `cancel` may be called at any time."""

    __slots__ = ("args", "function", "loop")

    def __init__(self, loop: "Loop", function: Callable[..., object], args: Any) -> None:
        self.loop = loop
        self.function: Callable[..., object] | None = function
        self.args = args

    def cancel(self) -> None:
        """Make sure that the call does not happen (any more)."""
        if self.function is not None:
            self.function = self.args = None
            self.loop.forget_timer()


class Loop:
    """What is to run in the hub, of one native thread: in the next round, or later.

    The hub knows one timer for each of both. Its own cost three times as much, and nearly all
    of ours are cancelled: each call has one, for its deadline.
    """

    __slots__ = (
        *("hub", "_entries", "_is_scheduled"),
        *("_timers", "_numbers", "_cancelled", "_alarm", "_alarm_at"),
    )

    def __init__(self) -> None:
        self.hub: Any = hubs.get_hub()
        self._entries: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_scheduled = False
        self._timers: list[tuple[float, int, TimerHandle]] = []  # a heap
        self._numbers = itertools.count()  # handles must not be compared
        self._cancelled = 0
        self._alarm: Any = None
        self._alarm_at = math.inf

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` in the next round."""
        self._entries.append((function, args))
        if not self._is_scheduled:
            self._is_scheduled = True
            self.hub.schedule_call_global(0, self._run)

    def _run(self) -> None:
        # What is added meanwhile waits for the next round: sockets get their turn between.
        self._is_scheduled = False
        try:
            for _ in range(len(self._entries)):
                function, args = self._entries.popleft()
                try:
                    function(*args)
                except Exception:
                    logger.error("%s failed in the hub", name_of(function), exc_info=True)
        finally:
            if self._entries and not self._is_scheduled:
                self._is_scheduled = True
                self.hub.schedule_call_global(0, self._run)

    def add_timer(self, when: float, handle: TimerHandle) -> None:
        """Call what `handle` says at the monotonic time `when`."""
        heappush(self._timers, (when, next(self._numbers), handle))
        if when < self._alarm_at:
            self._set_alarm()

    def forget_timer(self) -> None:
        """Take note that a timer was cancelled; when most are, these are thrown away."""
        self._cancelled += 1
        if self._cancelled > FEWEST_TO_FORGET and self._cancelled * 2 > len(self._timers):
            self._timers = [each for each in self._timers if each[2].function is not None]
            heapify(self._timers)
            self._cancelled = 0

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._timers[0][0]
        # What is too far away is waited for in parts.
        seconds = min(self._alarm_at - monotonic(), LONGEST_TIMER)
        self._alarm = self.hub.schedule_call_global(seconds, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, -math.inf  # no other one is set meanwhile
        now = monotonic()
        try:
            while self._timers and self._timers[0][0] <= now:
                self._fire(heappop(self._timers)[2])
        finally:
            self._alarm_at = math.inf
            if self._timers:
                self._set_alarm()

    def _fire(self, handle: TimerHandle) -> None:
        function, args = handle.function, handle.args
        if function is None:
            self._cancelled -= 1
            return
        handle.function = handle.args = None
        try:
            function(*args)
        except Exception:
            logger.error("%s failed in the hub", name_of(function), exc_info=True)


class _Loops(native_threading.local):  # type: ignore[misc]  # eventlet is untyped
    """The loop of each native thread."""

    loop: Loop | None = None


_loops = _Loops()


def current_loop() -> Loop:
    """Return the loop of this native thread."""
    loop = _loops.loop
    if loop is None:
        loop = _loops.loop = Loop()
    return loop


def call_soon(function: Callable[..., object], *args: Any) -> None:
    """Call `function` from the hub in its next round; it must not block."""
    current_loop().add(function, *args)


def call_later(seconds: float, function: Callable[..., object], *args: Any) -> TimerHandle:
    """Call `function` from the hub after `seconds`; it must not block.

    Raises ValueError for what is no number: it has no place among the others.
    """
    if math.isnan(seconds):
        raise ValueError(f"{seconds!r} is no time to wait")
    loop = current_loop()
    handle = TimerHandle(loop, function, args)
    loop.add_timer(monotonic() + seconds, handle)
    return handle


def switch_to_hub(current: greenlet) -> None:
    """Let others run; return when something switches back to `current`, the caller."""
    hub = current_loop().hub
    if current.parent is hub.greenlet and not hub.greenlet.dead:
        hub.greenlet.switch()  # what `hub.switch` does when all is in order, in a third of the time
    else:
        hub.switch()


def name_of(function: Callable[..., Any]) -> str:
    """Return what a log calls a function."""
    return getattr(function, "__qualname__", None) or repr(function)
