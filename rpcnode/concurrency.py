"""Green threads, and all that waits: the only module that imports eventlet.

It offers only what gevent can do as well, so that another backend can take its place.
Nothing here patches the standard library except `monkey_patch`, which programs call first
of all; the library itself works without it.
"""

import contextvars
import functools
import itertools
import logging
import math
import os
import queue
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from heapq import heapify, heappop, heappush
from sys import getrefcount
from time import monotonic
from types import FrameType
from typing import Any, Generic, TypeVar
from weakref import getweakrefcount

with warnings.catch_warnings():
    # Eventlet announces its retirement at each import; docs/concurrency.md says what we make
    # of it. A user's own filters stay as they are.
    warnings.simplefilter("ignore")
    # Eventlet would look names up with dnspython, whose 200 modules take a fifth of a service's
    # memory and half of its start. The system's resolver does it here, in native threads.
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    import eventlet
    from eventlet import greenthread, hubs, patcher
    from eventlet.green import socket, ssl
    from eventlet.queue import Empty, LightQueue
    from eventlet.semaphore import Semaphore
    from eventlet.timeout import Timeout
    from greenlet import GreenletExit, getcurrent, greenlet

__all__ = [
    "LONGEST_TIMER",
    "Bridge",
    "Empty",
    "Event",
    "GreenThread",
    "GreenletExit",
    "HubThread",
    "Queue",
    "ReadWait",
    "Semaphore",
    "Timeout",
    "call_later",
    "call_soon",
    "getcurrent",
    "is_patched",
    "kill",
    "monkey_patch",
    "native_lock",
    "native_socket",
    "note_new_file",
    "on_signals",
    "run_in_native_thread",
    "sleep",
    "socket",
    "spawn",
    "ssl",
    "unwatch",
    "wait_readable",
    "watch_readable",
    "watch_this_thread",
    "watch_writable",
]

logger = logging.getLogger(__name__)
T = TypeVar("T")
MOST_IDLE = 1000  # green threads that wait for something to run; each takes about 20 kB
FEW_IDLE = 100  # so many may wait for ever
IDLE_TIME = 10.0  # seconds after which others that were not needed end
FEWEST_TO_FORGET = 1000  # cancelled timers that are not worth sorting out
LONGEST_TIMER = 1e6  # seconds, eleven days; for 25 days the hub's poll would overflow
Queue = LightQueue
_threading = patcher.original("threading")
_queue = patcher.original("queue")
native_socket = patcher.original("socket")  # for sockets that the hub watches


def monkey_patch() -> None:
    """Make the standard library's blocking calls cooperative; call it before other imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eventlet.monkey_patch()
    _make_lookups_green(sys.modules["socket"])


def is_patched() -> bool:
    """Return whether sockets of the standard library are cooperative in this process."""
    return bool(patcher.is_monkey_patched("socket"))


def sleep(seconds: float = 0) -> None:
    """Let other green threads run, for at least `seconds`."""
    eventlet.sleep(seconds)


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

    def __init__(self, loop: "_Loop", parent: greenlet) -> None:
        greenlet.__init__(self, self.main, parent)
        self._loop = loop

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
        while self._live() and self._loop.keep(self):
            try:
                while self._job is None:  # a timer may be left behind that switches here
                    self.parent.switch()
            except BaseException as exc:
                if self._has_ended:  # it is not needed any more, or a timeout was left behind
                    self._loop.drop(self)
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
                logger.error("green thread %s failed", _name_of(function), exc_info=True)
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
        loop = self._loop
        self.__dict__.clear()
        self._loop = loop

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
            logger.error("%s failed at the end of a thread", _name_of(function), exc_info=True)


def _fail(error: BaseException) -> None:
    raise error


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """Run `function` in a fresh green thread, soon, with a copy of the current context."""
    loop = _loop()
    thread = loop.take_idle() or GreenThread(loop, loop.hub.greenlet)
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


def call_soon(function: Callable[..., object], *args: Any) -> None:
    """Call `function` from the hub in its next round; it must not block."""
    _loop().add(function, *args)


class TimerHandle:
    """A call that was asked for later; `cancel` may be called at any time."""

    __slots__ = ("args", "function", "loop")

    def __init__(self, loop: "_Loop", function: Callable[..., object], args: Any) -> None:
        self.loop = loop
        self.function: Callable[..., object] | None = function
        self.args = args

    def cancel(self) -> None:
        """Make sure that the call does not happen (any more)."""
        if self.function is not None:
            self.function = self.args = None
            self.loop.forget_timer()


def call_later(seconds: float, function: Callable[..., object], *args: Any) -> TimerHandle:
    """Call `function` from the hub after `seconds`; it must not block.

    Raises ValueError for what is no number: it has no place among the others.
    """
    if math.isnan(seconds):
        raise ValueError(f"{seconds!r} is no time to wait")
    loop = _loop()
    handle = TimerHandle(loop, function, args)
    loop.add_timer(monotonic() + seconds, handle)
    return handle


class _Loop:
    """What is to run in the hub, of one native thread: in the next round, or later.

    The hub knows one timer for each of both. Its own cost three times as much, and nearly all
    of ours are cancelled: each call has one, for its deadline.

    It also keeps green threads that have ended, for the next `spawn`. Python 3.11 asks the system
    for the stack of each new one, and gives it back at its end, which takes longer than the rest
    of a short call. Nobody can tell one that was kept from a new one: it has a new context; its
    attributes are cleared; and it is not used if anything else refers to it, if only weakly, as
    thread-locals and whoever asked for the current thread do.
    """

    __slots__ = (
        *("hub", "lookups", "_entries", "_idle", "_is_scheduled", "_is_sweeping", "_fewest"),
        *("_timers", "_numbers", "_cancelled", "_alarm", "_alarm_at"),
    )

    def __init__(self) -> None:
        self.hub: Any = hubs.get_hub()
        self.lookups = Semaphore(MOST_LOOKUPS)
        self._idle: list[GreenThread] = []
        self._is_sweeping = False
        self._fewest = 0  # idle threads since the last sweep
        self._entries: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_scheduled = False
        self._timers: list[tuple[float, int, TimerHandle]] = []  # a heap
        self._numbers = itertools.count()  # handles must not be compared
        self._cancelled = 0
        self._alarm: Any = None
        self._alarm_at = math.inf

    def keep(self, thread: GreenThread) -> bool:
        """Keep a thread that has ended; return whether it is to wait for something to run."""
        if len(self._idle) >= MOST_IDLE or getweakrefcount(thread):
            return False
        thread.gr_context = None
        self._idle.append(thread)
        if len(self._idle) > FEW_IDLE and not self._is_sweeping:
            self._sweep_later()
        return True

    def _sweep_later(self) -> None:
        self._is_sweeping, self._fewest = True, len(self._idle)
        self.add_timer(monotonic() + IDLE_TIME, TimerHandle(self, self._sweep, ()))

    def _sweep(self) -> None:
        """End what was never needed since the last time, but for a few."""
        self._is_sweeping = False
        surplus = max(0, min(self._fewest, len(self._idle) - FEW_IDLE))
        for thread in self._idle[:surplus]:
            self.add(thread.throw)
        del self._idle[:surplus]
        if len(self._idle) > FEW_IDLE:
            self._sweep_later()

    def drop(self, thread: GreenThread) -> None:
        """Keep a thread no longer: it is about to end."""
        with suppress(ValueError):
            self._idle.remove(thread)

    def take_idle(self) -> GreenThread | None:
        """Return a thread that is as good as new, None if there is none."""
        while self._idle:
            thread = self._idle.pop()
            self._fewest = min(self._fewest, len(self._idle))
            is_unknown = getrefcount(thread) == _references and not getweakrefcount(thread)
            if is_unknown and thread.parent is self.hub.greenlet:
                thread.renew()
                return thread
            self.add(thread.throw)  # it ends
        return None

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
                    logger.error("%s failed in the hub", _name_of(function), exc_info=True)
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
            logger.error("%s failed in the hub", _name_of(function), exc_info=True)


class _Loops(_threading.local):  # type: ignore[misc, name-defined]  # eventlet is untyped
    """The loop of each native thread."""

    loop: _Loop | None = None


class _Probe:
    """Stands in for a loop, to find out how many references a kept thread has by itself."""

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


_loops = _Loops()
_references = _Probe().references


def _loop() -> _Loop:
    loop = _loops.loop
    if loop is None:
        loop = _loops.loop = _Loop()
    return loop


class Event(Generic[T]):
    """A value or an error that is set once, and waited for by any number of green threads."""

    __slots__ = ("_error", "_is_set", "_value", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: dict[greenlet, None] | None = None  # in order, and left at no cost

    def is_set(self) -> bool:
        """Return whether a value or an error is there."""
        return self._is_set

    def set(self, value: Any = None) -> bool:
        """Give the value; return False (and change nothing) when it was set before."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Give the error; return False (and change nothing) when it was set before."""
        return self._settle(None, error)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; return whether it is."""
        if self._is_set:
            return True
        if timeout is not None and timeout <= 0:
            return False
        current = getcurrent()
        if self._waiters is None:
            self._waiters = {}
        self._waiters[current] = None
        timer = None if timeout is None else call_later(timeout, self._wake, current)
        try:
            switch_to_hub(current)
        finally:
            if timer is not None:
                timer.cancel()
            self._waiters.pop(current, None)
        return self._is_set

    def result(self) -> T:
        """Return the value or raise the error; it must be set."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]  # T by the setter's promise

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        if self._is_set:
            return False
        self._is_set, self._value, self._error = True, value, error
        for waiter in self._waiters or ():
            call_soon(self._wake, waiter)
        return True

    def _wake(self, waiter: greenlet) -> None:
        # A waiter that was killed or timed out meanwhile waits for something else by now.
        if self._waiters and waiter in self._waiters:
            waiter.switch()


def switch_to_hub(current: greenlet) -> None:
    """Let others run; return when something switches back to `current`, the caller."""
    hub = _loop().hub
    if current.parent is hub.greenlet and not hub.greenlet.dead:
        hub.greenlet.switch()  # what `hub.switch` does when all is in order, in a third of the time
    else:
        hub.switch()


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


@contextmanager
def on_signals(handlers: Mapping[int, Callable[[], object]]) -> Iterator[None]:
    """Call the handlers, each in a green thread of its own, when their signals arrive.

    A Python signal handler alone does not wake an idle hub; the wake-up file of the signal
    module does. Only the main thread can do this.
    """
    receiver, sender = native_socket.socketpair()
    note_new_file(receiver.fileno())
    receiver.setblocking(False)
    sender.setblocking(False)
    previous = {number: signal.signal(number, _ignore) for number in handlers}
    previous_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    thread = spawn(_read_signals, receiver, handlers)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_fd)
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        kill(thread)
        receiver.close()
        sender.close()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Take a signal: the wake-up file carries its number."""


def _read_signals(receiver: Any, handlers: Mapping[int, Callable[[], object]]) -> None:
    while True:
        wait_readable(receiver)
        with suppress(BlockingIOError):
            for number in receiver.recv(64):
                if number in handlers:
                    spawn(handlers[number])


def run_in_native_thread(function: Callable[..., T], *args: Any) -> Event[T]:
    """Run a function that blocks its thread (a prompt) beside the hub; return its outcome."""
    return _run_natively(functools.partial(function, *args), lambda: None)


def _run_natively(function: Callable[[], T], at_end: Callable[[], object]) -> Event[T]:
    """Do the same, and call `at_end` when the native thread is done, whoever waits by then."""
    outcome: Event[T] = Event()
    bridge = Bridge()

    def end() -> None:
        at_end()
        bridge.close()

    def run() -> None:
        try:
            value = function()
        except BaseException as exc:  # the outcome is handed over, whatever it is
            bridge.post(outcome.fail, exc)
        else:
            bridge.post(outcome.set, value)
        bridge.post(end)

    try:
        _threading.Thread(target=run, daemon=True, name="rpcnode-native").start()
    except RuntimeError:  # the system has no threads left
        end()
        raise
    return outcome


class Bridge:
    """Carries calls from native threads to the hub's thread.

    An event that is set from another thread never wakes a green thread; a socket does. Make
    it in the hub's thread.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = native_socket.socketpair()
        note_new_file(self._receiver.fileno())
        self._receiver.setblocking(False)
        self._calls: Any = _queue.SimpleQueue()
        self._thread = spawn(self._serve)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function` in a green thread and wait for it here, in a native thread."""
        outcome: Any = _queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put((function(*args, **kwargs), None))
            except BaseException as exc:  # raised again in the thread that asked
                outcome.put((None, exc))

        self.post(run)
        value, error = outcome.get()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # what function returned

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Run `function` in a green thread, without waiting for it; from any thread."""
        self._calls.put((function, args))
        with suppress(OSError):  # closed: the hub is going away
            self._sender.send(b"\0")

    def close(self) -> None:
        """Stop carrying calls."""
        call_soon(kill, self._thread)
        self._receiver.close()
        self._sender.close()

    def _serve(self) -> None:
        while True:
            wait_readable(self._receiver)
            with suppress(BlockingIOError):
                self._receiver.recv(4096)
            with suppress(queue.Empty):
                while True:
                    function, args = self._calls.get_nowait()
                    spawn(function, *args)


def watch_this_thread(
    seconds: float, look: Callable[[FrameType | None], object]
) -> Callable[[], object]:
    """Call `look(frame)` every `seconds` with what this native thread is at; return the end of it.

    It is called in a native thread beside the hub, also while the hub is kept from running. So it
    must not log, nor wait for anything green.
    """
    ended = _threading.Event()
    thread_id = _threading.get_ident()

    def run() -> None:
        while not ended.wait(seconds):
            look(sys._current_frames().get(thread_id))

    _threading.Thread(target=run, daemon=True, name="rpcnode-watch").start()
    return ended.set  # type: ignore[no-any-return]  # eventlet is untyped


MOST_LOOKUPS = 8  # of names at the same time, each in a native thread


def _make_lookups_green(module: Any) -> None:
    """Let others run while the system's resolver looks up a name for the functions of `module`."""
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        function = getattr(module, name)
        if function.__module__ in ("socket", "_socket"):  # else somebody has another resolver
            setattr(module, name, _green_lookup(function))


def _green_lookup(function: Callable[..., T]) -> Callable[..., T]:
    def look_up(host: Any, *args: Any, **kwargs: Any) -> T:
        if _is_address(host) or not _has_hub():
            return function(host, *args, **kwargs)  # takes no time, or nobody else's
        loop = _loop()
        if getcurrent() is loop.hub.greenlet:
            return function(host, *args, **kwargs)  # nobody may wait here
        # Not released by who waits: they may be killed, and the system's resolver goes on.
        loop.lookups.acquire()
        ask = functools.partial(function, host, *args, **kwargs)
        outcome = _run_natively(ask, loop.lookups.release)
        outcome.wait()
        return outcome.result()

    return look_up


def _has_hub() -> bool:
    """Return whether other green threads may be in this native thread.

    To ask eventlet for its hub would make one, which a short-lived thread leaves behind.
    """
    return getattr(hubs._threadlocal, "hub", None) is not None


def _is_address(host: Any) -> bool:
    """Return whether the resolver need not ask anybody."""
    if not isinstance(host, str):
        return not host  # None and "" stand for this machine
    text = host.partition("%")[0]  # an IPv6 address may name its interface
    for family in (native_socket.AF_INET, native_socket.AF_INET6):
        with suppress(OSError, ValueError):
            native_socket.inet_pton(family, text)
            return True
    return False


def native_lock() -> Any:
    """Return a reentrant lock for several native threads.

    Those of a patched standard library are for green threads: who waits for one that another
    native thread has is never woken.
    """
    return _threading.RLock()


class HubThread:
    """A native thread with a hub, for green threads beside a main thread that blocks (a prompt).

    Everything they use must be made there: `bridge.call` runs a function there.
    """

    def __init__(self) -> None:
        made: Any = _queue.SimpleQueue()
        self._thread = _threading.Thread(
            target=self._run, args=(made,), daemon=True, name="rpcnode-hub"
        )
        self._thread.start()
        self.bridge: Bridge = made.get()

    def close(self) -> None:
        """End the hub, and wait for that; what still runs there is dropped."""
        self.bridge.post(self._end.set)
        self._thread.join()

    def _run(self, made: Any) -> None:
        self._end: Event[None] = Event()
        bridge = Bridge()
        made.put(bridge)
        self._end.wait()
        bridge.close()


_make_lookups_green(socket)  # ours, also where nothing is patched
