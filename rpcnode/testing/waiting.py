"""Waiting for what happens elsewhere while a test looks on."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from mock import patch

from rpcnode.concurrency import sleep
from rpcnode.context import ExcInfo
from rpcnode.exceptions import RpcNodeError

INTERVAL = 0.005  # seconds between two looks

IsLast = Callable[[tuple[Any, ...], Mapping[str, Any], Any, ExcInfo | None], object]


class WaitResult:
    """What a call returned or raised; it is sent once and may be asked for any number of times."""

    class NotReady(RpcNodeError):
        """Raised when the result is asked for before it is there."""

    def __init__(self) -> None:
        self._outcome: tuple[Any, ExcInfo | None] | None = None

    @property
    def has_result(self) -> bool:
        """Whether something was sent."""
        return self._outcome is not None

    def send(self, result: Any, exc_info: ExcInfo | None) -> None:
        """Give the outcome; all but the first are ignored."""
        if self._outcome is None:
            self._outcome = result, exc_info

    def get(self) -> Any:
        """Return the result or raise the error; NotReady when neither is there."""
        if self._outcome is None:
            raise self.NotReady("there is no result yet")
        result, exc_info = self._outcome
        if exc_info is not None:
            raise exc_info[1]
        return result


@contextmanager
def wait_for_call(
    obj: Any, target: str, callback: IsLast | None = None, *, timeout: float | None = 30
) -> Iterator[WaitResult]:
    """Wait at the end of the block until `obj.target` was called; the call goes through.

    `callback(args, kwargs, result, exc_info)` tells whether a call is the one waited for; it is
    the first without it. Where `obj` is a class, `self` is among the arguments. Yields the
    WaitResult of that call. It may come from any thread. Raises TimeoutError when it has not
    come `timeout` seconds after the block; None waits without end.
    """
    result = WaitResult()
    errors: list[Exception] = []

    def note(args: Any, kwargs: Any, value: Any, exc_info: ExcInfo | None) -> None:
        try:
            is_last = callback is None or callback(args, kwargs, value, exc_info)
        except Exception as exc:  # it belongs to the test, not to whoever calls
            errors.append(exc)
        else:
            if is_last:
                result.send(value, exc_info)

    with patch.object(obj, target, _observed(obj, target, note)):
        yield result
        give_up = None if timeout is None else monotonic() + timeout
        # The caller may be a native thread, which cannot wake a green one: look now and then.
        while not result.has_result and not errors:
            if give_up is not None and monotonic() > give_up:
                raise TimeoutError(f"Timeout on a call of {target!r} after {timeout} seconds")
            sleep(INTERVAL)
    if errors:
        raise errors[0]


def _observed(obj: Any, target: str, note: Callable[..., None]) -> Any:
    function = getattr(obj, target)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            value = function(*args, **kwargs)
        except BaseException as exc:  # whatever ends the call
            note(args, kwargs, None, (type(exc), exc, exc.__traceback__))
            raise
        note(args, kwargs, value, None)
        return value

    takes_self = not isinstance(
        inspect.getattr_static(obj, target, None), (staticmethod, classmethod)
    )
    return call if takes_self else staticmethod(call)
