"""Events: what green threads wait for."""

from typing import Any, Generic, TypeVar

from rpcnode.concurrency.backend import getcurrent, greenlet
from rpcnode.concurrency.loop import call_later, call_soon, switch_to_hub

T = TypeVar("T")


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
