"""Green threads, and all that waits: the only package that imports eventlet.

It offers only what gevent can do as well, so that another backend can take its place.
Nothing here patches the standard library except `monkey_patch`, which programs call first
of all; the library itself works without it.
"""

import sys
import warnings

from rpcnode.concurrency.backend import (
    Empty,
    GreenletExit,
    LightQueue,
    Semaphore,
    Timeout,
    eventlet,
    getcurrent,
    native_socket,
    patcher,
    socket,
    ssl,
)
from rpcnode.concurrency.events import Event
from rpcnode.concurrency.files import (
    ReadWait,
    note_new_file,
    unwatch,
    wait_readable,
    watch_readable,
    watch_writable,
)
from rpcnode.concurrency.lookups import make_lookups_green
from rpcnode.concurrency.loop import LONGEST_TIMER, TimerHandle, call_later, call_soon
from rpcnode.concurrency.native import (
    Bridge,
    HubThread,
    native_lock,
    run_in_native_thread,
    watch_this_thread,
)
from rpcnode.concurrency.signals import on_signals
from rpcnode.concurrency.threads import GreenThread, kill, spawn

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
    "TimerHandle",
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

Queue = LightQueue


def monkey_patch() -> None:
    """Make the standard library's blocking calls cooperative; call it before other imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eventlet.monkey_patch()
    make_lookups_green(sys.modules["socket"])


def is_patched() -> bool:
    """Return whether sockets of the standard library are cooperative in this process."""
    return bool(patcher.is_monkey_patched("socket"))


def sleep(seconds: float = 0) -> None:
    """Let other green threads run, for at least `seconds`."""
    eventlet.sleep(seconds)


make_lookups_green(socket)  # ours, also where nothing is patched
