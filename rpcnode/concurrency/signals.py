"""Signals, handled in green threads."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from rpcnode.concurrency.backend import native_socket
from rpcnode.concurrency.files import note_new_file, wait_readable
from rpcnode.concurrency.threads import kill, spawn


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
