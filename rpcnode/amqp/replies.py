"""The table of calls that wait for their reply. It does no I/O."""

import secrets
from collections.abc import Iterator
from typing import Any, Protocol

ID_SIZE = 16  # bytes of a correlation id, as many as those of a UUID
IDS_AT_ONCE = 64  # correlation ids that are made of what the system gives at once


def unguessable_ids() -> Iterator[str]:
    """Yield correlation ids that nobody can foretell.

    Whoever answered one call knows its id and where the caller awaits replies; with the id of
    the next call, one could answer in the name of any service. To ask the system for each takes
    five times as long.
    """
    length = 2 * ID_SIZE
    while True:
        digits = secrets.token_hex(ID_SIZE * IDS_AT_ONCE)
        for start in range(0, len(digits), length):
            yield digits[start : start + length]


class Pending(Protocol):
    """Who waits for a reply; hears of it once."""

    def set(self, value: Any) -> object:
        """Take the reply."""

    def fail(self, error: BaseException) -> object:
        """Take the error that came instead."""


class ReplyTable:
    """Correlation ids -> who waits. `unexpected` counts replies that nobody waited for.

    Each entry is removed by its reply, by its error, or by `forget` when nobody waits any more.
    """

    def __init__(self) -> None:
        self.unexpected = 0
        self._pending: dict[str, Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, correlation_id: str) -> bool:
        return correlation_id in self._pending

    def expect(self, correlation_id: str, pending: Pending) -> None:
        """Enter a call that is about to be sent."""
        self._pending[correlation_id] = pending

    def settle(self, correlation_id: str | None, reply: Any) -> bool:
        """Give a reply to who waits for it; return False (and count it) if nobody does."""
        pending = self._pending.pop(correlation_id, None) if correlation_id else None
        if pending is None:
            self.unexpected += 1
            return False
        pending.set(reply)
        return True

    def fail(self, correlation_id: str, error: BaseException) -> None:
        """Give an error to who waits for that reply, if anybody does."""
        pending = self._pending.pop(correlation_id, None)
        if pending is not None:
            pending.fail(error)

    def fail_all(self, error: BaseException) -> None:
        """Give an error to everybody who waits: no reply can come any more."""
        for correlation_id in list(self._pending):
            self.fail(correlation_id, error)

    def forget(self, correlation_id: str) -> None:
        """Remove an entry, if it is there: nobody waits any more."""
        self._pending.pop(correlation_id, None)
