"""Names of hosts, looked up by the system's resolver in native threads."""

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from rpcnode.concurrency.backend import Semaphore, getcurrent, hubs, native_socket, native_threading
from rpcnode.concurrency.loop import current_loop
from rpcnode.concurrency.native import run_natively

T = TypeVar("T")

MOST_LOOKUPS = 8  # of names at the same time, each in a native thread


class _Lookups(native_threading.local):  # type: ignore[misc]  # eventlet is untyped
    """How many lookups a native thread's green threads may begin."""

    def __init__(self) -> None:
        self.slots = Semaphore(MOST_LOOKUPS)


_lookups = _Lookups()


def make_lookups_green(module: Any) -> None:
    """Let others run while the system's resolver looks up a name for the functions of `module`."""
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        function = getattr(module, name)
        if function.__module__ in ("socket", "_socket"):  # else somebody has another resolver
            setattr(module, name, _green_lookup(function))


def _green_lookup(function: Callable[..., T]) -> Callable[..., T]:
    def look_up(host: Any, *args: Any, **kwargs: Any) -> T:
        if _is_address(host) or not _has_hub():
            return function(host, *args, **kwargs)  # takes no time, or nobody else's
        if getcurrent() is current_loop().hub.greenlet:
            return function(host, *args, **kwargs)  # nobody may wait here
        # Not released by who waits: they may be killed, and the system's resolver goes on.
        _lookups.slots.acquire()
        ask = functools.partial(function, host, *args, **kwargs)
        outcome = run_natively(ask, _lookups.slots.release)
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
