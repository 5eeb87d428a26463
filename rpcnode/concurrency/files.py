"""Waiting for files and sockets."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rpcnode.concurrency.backend import getcurrent, greenlet, hubs
from rpcnode.concurrency.loop import call_soon, switch_to_hub


def wait_readable(sock: Any) -> None:
    """Let other green threads run until `sock` (or a file number) can be read."""
    hubs.trampoline(sock, read=True)


def watch_readable(number: int, function: Callable[[int], object]) -> Any:
    """Call `function(number)` from the hub whenever a file can be read, until `unwatch`.

    Nothing is told to the system between two calls, and no green thread waits: that is what makes
    it cheaper than `wait_readable`. `function` must not block; it must `unwatch` before the file is
    closed, and may be called once more in the hub's current round after that.
    """
    return _watch(hubs.hub.READ, number, function)


def watch_writable(number: int, function: Callable[[int], object]) -> Any:
    """Call `function(number)` from the hub whenever a file can be written, until `unwatch`."""
    return _watch(hubs.hub.WRITE, number, function)


class ReadWait:
    """Lets one green thread wait for a file to be readable, again and again.

    `wait_readable` tells the system of the file each time, and takes it back; this does so once.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._watch: Any = None
        self._waiting: greenlet | None = None

    def wait(self) -> None:
        """Let others run; return when the file can be read."""
        if self._watch is None:
            self._watch = watch_readable(self._number, self._wake)
        self._waiting = getcurrent()
        try:
            switch_to_hub(self._waiting)
        finally:
            self._waiting = None

    def close(self) -> None:
        """Watch the file no more, and wake who waits; this comes before the file is closed."""
        watch, self._watch = self._watch, None
        if watch is not None:
            unwatch(watch)
        if self._waiting is not None:
            call_soon(self._wake_up, self._waiting)

    def _wake_up(self, waiting: greenlet) -> None:
        # Something else may have woken it meanwhile.
        if self._waiting is not None and self._waiting is waiting:
            self._waiting.switch()

    def _wake(self, _number: int) -> None:
        if self._waiting is None:
            self.close()  # whoever should read does something else; `wait` watches again
        else:
            self._waiting.switch()


def _watch(kind: str, number: int, function: Callable[[int], object]) -> Any:
    hub = hubs.get_hub()
    watch = hub.add(kind, number, function, _ignore_error, None)
    # Else it would keep whoever asked for it, a finished green thread, in memory.
    watch.greenlet = hub.greenlet
    return watch


def _ignore_error(_error: BaseException) -> None:
    """Take what a hub throws at who watches a file whose number was given to another one."""


def note_new_file(number: int) -> None:
    """Take note that a file was opened, before it is watched.

    Who still waits for an older one of that number, which somebody else has closed, gets an
    error. Else the hub would take both for two who read the same file, and refuse to watch it.
    """
    hubs.notify_opened(number)


def unwatch(watch: Any) -> None:
    """Stop the calls that `watch_readable` or `watch_writable` began."""
    with suppress(KeyError):  # the hub has stopped them itself, after an error
        hubs.get_hub().remove(watch)
