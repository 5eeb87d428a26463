"""Calling a function again when it fails, as Nameko's users write it."""

import functools
import time
from collections.abc import Callable
from typing import Any

__all__ = ["retry"]


def retry(
    wrapped: Callable[..., Any] | None = None,
    for_exceptions: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    max_attempts: int | None = 3,
    delay: float = 1,
    backoff: float = 1,
    max_delay: float | None = None,
) -> Any:
    """Let a function be called again after `for_exceptions`, up to `max_attempts` times more.

    `None` goes on without end. `delay` (seconds) is multiplied by `backoff` before each pause, the
    first one included, up to `max_delay`. The last error is raised as it is. It is a decorator,
    used with and without arguments; what fails in a handler has better means (`retry=`).
    """
    if wrapped is None:
        return functools.partial(
            retry,
            for_exceptions=for_exceptions,
            max_attempts=max_attempts,
            delay=delay,
            backoff=backoff,
            max_delay=max_delay,
        )

    @functools.wraps(wrapped)
    def call(*args: Any, **kwargs: Any) -> Any:
        left, pause = max_attempts, delay
        while left is None or left > 0:
            try:
                return wrapped(*args, **kwargs)
            except for_exceptions:
                left = None if left is None else left - 1
            pause = pause * backoff if max_delay is None else min(pause * backoff, max_delay)
            time.sleep(pause)  # a plain program waits; where it is patched, a worker does
        return wrapped(*args, **kwargs)

    return call
