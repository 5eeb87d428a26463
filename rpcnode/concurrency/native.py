"""Native threads beside the hub, and what passes between both."""

import functools
import queue
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

from rpcnode.concurrency.backend import native_queue, native_socket, native_threading
from rpcnode.concurrency.events import Event
from rpcnode.concurrency.files import note_new_file, wait_readable
from rpcnode.concurrency.loop import call_soon
from rpcnode.concurrency.threads import kill, spawn

T = TypeVar("T")


def run_in_native_thread(function: Callable[..., T], *args: Any) -> Event[T]:
    """Run a function that blocks its thread (a prompt) beside the hub; return its outcome."""
    return run_natively(functools.partial(function, *args), lambda: None)


def run_natively(function: Callable[[], T], at_end: Callable[[], object]) -> Event[T]:
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
        native_threading.Thread(target=run, daemon=True, name="rpcnode-native").start()
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
        self._calls: Any = native_queue.SimpleQueue()
        self._thread = spawn(self._serve)

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function` in a green thread and wait for it here, in a native thread."""
        outcome: Any = native_queue.SimpleQueue()

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
    ended = native_threading.Event()
    thread_id = native_threading.get_ident()

    def run() -> None:
        while not ended.wait(seconds):
            look(sys._current_frames().get(thread_id))

    native_threading.Thread(target=run, daemon=True, name="rpcnode-watch").start()
    return ended.set  # type: ignore[no-any-return]  # eventlet is untyped


def native_lock() -> Any:
    """Return a reentrant lock for several native threads.

    Those of a patched standard library are for green threads: who waits for one that another
    native thread has is never woken.
    """
    return native_threading.RLock()


class HubThread:
    """A native thread with a hub, for green threads beside a main thread that blocks (a prompt).

    Everything they use must be made there: `bridge.call` runs a function there.
    """

    def __init__(self) -> None:
        made: Any = native_queue.SimpleQueue()
        self._thread = native_threading.Thread(
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
