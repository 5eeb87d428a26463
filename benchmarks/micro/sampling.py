"""Where the CPU time of a program goes, found out by looking at it again and again."""

import gc
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERVAL = 0.001  # seconds of CPU time between two looks

Place = tuple[str, str]  # file and qualified name of a function


class Samples:
    """What was seen: the innermost function of a known file at each look, and the collector's time.

    Time that a C function takes is its caller's.
    """

    def __init__(self) -> None:
        self.seen: Counter[Place] = Counter()
        self.garbage_seconds = 0.0
        self._collecting_since = 0.0

    def share(self, place: Place) -> float:
        """Return the share of the looks that found the program there."""
        return self.seen[place] / self.seen.total()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Look as long as the block runs."""
        previous = signal.signal(signal.SIGPROF, self._look)
        gc.callbacks.append(self._note_collection)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            gc.callbacks.remove(self._note_collection)
            signal.signal(signal.SIGPROF, previous)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        if frame is not None:
            self.seen[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    def _note_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self.garbage_seconds += time.perf_counter() - self._collecting_since
