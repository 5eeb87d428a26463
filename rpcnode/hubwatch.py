"""Tells when green threads do not get their turn, and who keeps it from them."""

import logging
import traceback
from collections.abc import Callable
from time import monotonic
from types import FrameType

from rpcnode.concurrency import TimerHandle, call_later, watch_this_thread

logger = logging.getLogger(__name__)

PERIOD = 0.5  # seconds between two looks
LIMIT = 2.0  # seconds without a turn for anybody that are worth a warning
FRAMES = 8  # of the stack that are shown, the innermost ones


class HubWatch:
    """Warns when the hub was kept from running: by a method that computes, or blocks its thread.

    Nothing else happens in the process meanwhile, heartbeats included, so that the broker takes
    it for dead in the end. The hub says when it runs; a native thread looks at what keeps it. What
    the warning shows is the stack at the time when the limit was reached.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._culprit = ""
        self._timer: TimerHandle | None = None
        self._end_looking: Callable[[], object] | None = None

    def start(self) -> None:
        """Watch the hub of this thread; a second call does nothing."""
        if self._end_looking is None:
            self._schedule()
            self._end_looking = watch_this_thread(PERIOD, self._look)

    def stop(self) -> None:
        """Watch no more; a second call does nothing."""
        if self._end_looking is not None and self._timer is not None:
            self._end_looking()
            self._timer.cancel()
            self._end_looking = self._timer = None

    def _schedule(self) -> None:
        self._due = monotonic() + PERIOD
        self._culprit = ""
        self._timer = call_later(PERIOD, self._tick)

    def _tick(self) -> None:
        late = monotonic() - self._due
        if late > LIMIT:
            logger.warning(
                "nothing else could run for %.1f s, no worker, no reply, no heartbeat: a method "
                "computes or blocks its thread without a cooperative pause, or the process was "
                "held%s",
                late,
                self._culprit,
            )
        self._schedule()

    def _look(self, frame: FrameType | None) -> None:
        # A native thread calls this, which must not log; it shares nothing but two attributes.
        if not self._culprit and monotonic() - self._due > LIMIT and frame is not None:
            stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=FRAMES)
            stack.reverse()
            self._culprit = ". It was at\n" + "".join(stack.format()).rstrip()
