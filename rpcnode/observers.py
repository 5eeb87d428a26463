"""The one seam through which others watch workers and messages.

Test helpers, metrics and tracing sit on it. Where nobody watches, an empty tuple is walked
through, and that is all it costs.
"""

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

EVENTS = (
    "worker_started",
    "worker_completed",
    "worker_finished",
    "message_received",
    "message_published",
    "message_acked",
)
Observe = Callable[..., object]


class Observers:
    """Calls what observers offer; each attribute is a tuple of callables, ready to be walked.

    An observer is an object with any of these methods. One that raises is logged and changes
    nothing.

    - `worker_started(worker_ctx)`: a worker begins.
    - `worker_completed(worker_ctx, result, exc_info)`: its outcome is final, and handled.
    - `worker_finished(worker_ctx)`: its dependencies are torn down; a killed worker gets here
      without having completed.
    - `message_received(message)`, `message_published(message)`, `message_acked(message)`.
    """

    __slots__ = ("_observers", *EVENTS)

    worker_started: tuple[Observe, ...]
    worker_completed: tuple[Observe, ...]
    worker_finished: tuple[Observe, ...]
    message_received: tuple[Observe, ...]
    message_published: tuple[Observe, ...]
    message_acked: tuple[Observe, ...]

    def __init__(self) -> None:
        self._observers: list[object] = []
        self._rebuild()

    def add(self, observer: object) -> None:
        """Tell `observer` from now on, after those that were added before."""
        self._observers.append(observer)
        self._rebuild()

    def remove(self, observer: object) -> None:
        """Tell `observer` no more; ValueError when it was not added."""
        self._observers.remove(observer)
        self._rebuild()

    def _rebuild(self) -> None:
        for event in EVENTS:
            # New tuples: who is walking through the old ones is not disturbed.
            setattr(self, event, tuple(_observing(event, self._observers)))


def _observing(event: str, observers: list[Any]) -> list[Observe]:
    return [_guarded(getattr(each, event)) for each in observers if hasattr(each, event)]


def _guarded(observe: Observe) -> Observe:
    def call(*args: Any) -> None:
        try:
            observe(*args)
        except Exception:  # whoever watches must not disturb the work
            logger.error("observer %r failed", observe, exc_info=True)

    return call
