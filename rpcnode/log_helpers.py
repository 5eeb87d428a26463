"""Logging how long something takes, as Nameko's users write it."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

__all__ = ["make_timing_logger"]


def make_timing_logger(
    logger: logging.Logger, precision: int = 3, level: int = logging.DEBUG
) -> Callable[..., AbstractContextManager[None]]:
    """Return `log_time(message, *args)`: a block that logs how many seconds it took.

    The message is logged at the end, also when the block raises, with ` in 0.123s` behind it.
    """

    @contextmanager
    def log_time(message: str, *args: Any) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - begin
            text = f"{message} in %0.{precision}fs"
            logger.log(level, text, *args, seconds)

    return log_time
