"""Green threads."""

import contextvars
import logging
from collections.abc import Callable
from contextlib import suppress
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

from rpcnode.concurrency.backend import (
    GreenletExit,
    getcurrent,
    greenlet,
    greenthread,
    native_threading,
)
from rpcnode.concurrency.events import Event
from rpcnode.concurrency.loop import call_later, call_soon, current_loop, name_of

logger = logging.getLogger(__name__)

MOST_IDLE = 1000  # green threads that wait for something to run; each takes about 20 kB
FEW_IDLE = 100  # so many may wait for ever
IDLE_TIME = 10.0  # seconds after which others that were not needed end


class GreenThread(greenthread.GreenThread):  # type: ignore[misc]  # eventlet is untyped
    """A green thread that never takes its process down.

    `wait()` returns what its function returned, or raises what it raised. An error is logged
    as well, because a thread that nobody waits for must not fail unseen.
    """

    # Eventlet makes an event for each thread; most are never waited for, and each call is one.
    _job: Any = None
    _has_ended = False
    _value: Any = None
    _error: BaseException | None = None
    _ended: "Event[None] | None" = None
    _links: "tuple[Callable[[GreenThread], object], ...]" = ()

    def __init__(self, idle: "IdleThreads", parent: greenlet) -> None:
        greenlet.__init__(self, self.main, parent)
        self._idle = idle

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self._has_ended or bool(greenlet.dead.__get__(self))

    def main(self, *job: Any) -> None:
        """Run what is given to this thread, again and again; called by the hub.

        Eventlet calls it with a job that fails, when a thread is killed before it began.
        """
        if job:
            self.give(*job)
        while self._live() and self._idle.keep(self):
            try:
                while self._job is None:  # a timer may be left behind that switches here
                    self.parent.switch()
            except BaseException as exc:
                if self._has_ended:  # it is not needed any more, or a timeout was left behind
                    self._idle.drop(self)
                    return
                self.give(_fail, (exc,), {})  # killed before it began again

    def give(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        """Say what to run."""
        # Arguments of `main` would be kept as long as the thread is.
        self._job = function, args, kwargs

    def _live(self) -> bool:
        """Run the job and tell of its end; return whether it ended well, and holds nothing."""
        (function, args, kwargs), self._job = self._job, None
        try:
            self._value = function(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            if not isinstance(exc, GreenletExit):
                logger.error("green thread %s failed", name_of(function), exc_info=True)
            self._error = exc
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()
        links, self._links = self._links, ()
        for tell in links:
            self._tell(tell)
        return self._error is None and self._value is None

    def renew(self) -> None:
        """Become a fresh thread: forget what was run, and what anyone has noted here."""
        idle = self._idle
        self.__dict__.clear()
        self._idle = idle

    def wait(self) -> Any:
        """Wait for the end; return the function's result, or raise its error."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._value

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; return whether it has come."""
        if not self._has_ended:
            if self._ended is None:
                self._ended = Event()
            self._ended.wait(timeout)
        return self._has_ended

    def link(self, function: "Callable[[GreenThread], object]") -> None:
        """Call `function(thread)` at its end, in this thread; at once if that has been."""
        if self._has_ended:
            self._tell(function)
        else:
            self._links += (function,)

    def unlink(self, function: "Callable[[GreenThread], object]") -> bool:
        """Do not call `function` at the end; return whether that was asked for."""
        kept = tuple(each for each in self._links if each != function)
        was_linked = len(kept) < len(self._links)
        self._links = kept
        return was_linked

    def cancel(self, *exc: Any) -> None:
        """Kill it, but only if it has not begun."""
        # Eventlet would ask whether the stack is in use, which it is when a thread was kept.
        if self._job is not None:
            self.kill(*exc)

    def _tell(self, function: "Callable[[GreenThread], object]") -> None:
        try:
            function(self)
        except Exception:  # the other links must hear of it, too
            logger.error("%s failed at the end of a thread", name_of(function), exc_info=True)


def _fail(error: BaseException) -> None:
    raise error


class IdleThreads(native_threading.local):  # type: ignore[misc]  # eventlet is untyped
    """Green threads of one native thread that have ended, for the next `spawn`.

    Python 3.11 asks the system for the stack of each new one, and gives it back at its end, which
    takes longer than the rest of a short call. Nobody can tell one that was kept from a new one: it
    has a new context; its attributes are cleared; and it is not used if anything else refers to it,
    if only weakly, as thread-locals and whoever asked for the current thread do.
    """

    def __init__(self) -> None:
        self._threads: list[GreenThread] = []
        self._is_sweeping = False
        self._fewest = 0  # since the last sweep

    def __len__(self) -> int:
        return len(self._threads)

    def keep(self, thread: GreenThread) -> bool:
        """Keep a thread that has ended; return whether it is to wait for something to run."""
        if len(self._threads) >= MOST_IDLE or getweakrefcount(thread):
            return False
        thread.gr_context = None
        self._threads.append(thread)
        if len(self._threads) > FEW_IDLE and not self._is_sweeping:
            self._sweep_later()
        return True

    def _sweep_later(self) -> None:
        self._is_sweeping, self._fewest = True, len(self._threads)
        call_later(IDLE_TIME, self._sweep)

    def _sweep(self) -> None:
        """End what was never needed since the last time, but for a few."""
        self._is_sweeping = False
        surplus = max(0, min(self._fewest, len(self._threads) - FEW_IDLE))
        for thread in self._threads[:surplus]:
            call_soon(thread.throw)
        del self._threads[:surplus]
        if len(self._threads) > FEW_IDLE:
            self._sweep_later()

    def drop(self, thread: GreenThread) -> None:
        """Keep a thread no longer: it is about to end."""
        with suppress(ValueError):
            self._threads.remove(thread)

    def take(self, hub_greenlet: greenlet) -> GreenThread | None:
        """Return a thread that is as good as new, None if there is none."""
        while self._threads:
            thread = self._threads.pop()
            self._fewest = min(self._fewest, len(self._threads))
            is_unknown = getrefcount(thread) == _references and not getweakrefcount(thread)
            if is_unknown and thread.parent is hub_greenlet:
                thread.renew()
                return thread
            call_soon(thread.throw)  # it ends
        return None


class _Probe:
    """Stands in for idle threads, to find out how many references a kept thread has by itself."""

    def __init__(self) -> None:
        self.idle: list[GreenThread] = []
        thread = GreenThread(self, getcurrent())  # type: ignore[arg-type]
        thread.give(self.idle.clear, (), {})
        thread.switch()
        self.idle.clear()
        self.references = getrefcount(thread)
        thread.throw()

    def keep(self, thread: GreenThread) -> bool:
        self.idle.append(thread)
        return True

    def drop(self, _thread: GreenThread) -> None:
        """Do nothing: it is not kept any more."""


_references = _Probe().references
_idle = IdleThreads()


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """Run `function` in a fresh green thread, soon, with a copy of the current context."""
    loop = current_loop()
    thread = _idle.take(loop.hub.greenlet) or GreenThread(_idle, loop.hub.greenlet)
    thread.gr_context = contextvars.copy_context()
    thread.give(function, args, kwargs)
    loop.add(_start, thread)
    return thread


def _start(thread: GreenThread) -> None:
    if not thread.dead:  # killed before it began
        thread.switch()


def kill(thread: greenlet, exc: BaseException | None = None) -> None:
    """Throw `exc` (`GreenletExit` unless given) into `thread`; a finished one is left alone."""
    if not thread.dead:
        # For a thread that has not begun, eventlet wants all three.
        thrown = () if exc is None else (type(exc), exc, exc.__traceback__)
        greenthread.kill(thread, *thrown)
