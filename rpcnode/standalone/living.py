"""The clients of this process, for the moments when it forks and when it ends."""

import atexit
import os
import weakref
from concurrent.futures import Future, wait
from typing import Protocol

EXIT_TIMEOUT = 5.0  # seconds that the end of the program waits for clients that nobody stopped


class Living(Protocol):
    """What has a thread and a connection."""

    def stop(self) -> "Future[None]":
        """Let go of everything."""

    def forked(self) -> None:
        """Take note that this is a child."""


class _AllLiving:
    """Tells everything that lives when the process forks and when it ends."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Living] = weakref.WeakSet()
        self._is_registered = False

    def add(self, one: Living) -> None:
        """Have it told."""
        self._all.add(one)
        if not self._is_registered:
            self._is_registered = True
            os.register_at_fork(after_in_child=self._forked)
            atexit.register(self._stop_all)

    def _forked(self) -> None:
        for one in list(self._all):
            one.forked()

    def _stop_all(self) -> None:
        wait([one.stop() for one in list(self._all)], timeout=EXIT_TIMEOUT)


# Module state, because neither hook can be taken back: one for the process, not for each client.
living = _AllLiving()
