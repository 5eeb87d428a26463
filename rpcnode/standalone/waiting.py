"""How threads wait for what the I/O thread does."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from rpcnode.exceptions import ConfigurationError

# The number of the I/O thread, known in that thread. A number alone is not enough, as green
# threads may share one; nor is a context, as it may be copied for other threads.
_io_thread: ContextVar[int | None] = ContextVar("rpcnode_client_thread", default=None)


def enter_io_thread() -> None:
    """Take note that the calling thread is one that others wait for."""
    _io_thread.set(threading.get_ident())


def refuse_in_io_thread() -> None:
    """Raise ConfigurationError in an I/O thread: what it waits for would never be done."""
    if _io_thread.get() == threading.get_ident():
        raise ConfigurationError(
            "a callback of a future cannot wait for calls, events, starts or stops: it is called "
            "in the client's own thread; use `call_async`, or another thread"
        )


def outcome_of(begin: Callable[..., "Future[Any]"], *args: Any) -> Any:
    """Begin something, and return its result or raise its error.

    What is interrupted while waiting is withdrawn.
    """
    refuse_in_io_thread()
    future = begin(*args)
    try:
        return future.result()
    finally:
        if not future.done():  # a Ctrl-C has ended the wait
            future.cancel()
