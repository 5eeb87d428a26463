"""What several containers of one runner share, for example the connection to the broker."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from rpcnode.concurrency import Semaphore

T = TypeVar("T")


class Resources:
    """Things that are made for the first who asks, and closed when the last lets go."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._asked: set[Hashable] = set()

    def is_first(self, what: Hashable) -> bool:
        """Return whether nobody has asked this before: for what is to be said once."""
        is_first = what not in self._asked
        self._asked.add(what)
        return is_first

    def acquire(
        self, key: Hashable, make: Callable[[], T], close: Callable[[T], object] | None = None
    ) -> T:
        """Return the thing known as `key`; `make` it if there is none.

        It is made once, also when two green threads ask at the same time. When `make` fails,
        its error is raised here, and the next who waits tries again. Every `acquire` wants
        one `release`; the last one calls `close`, or else the thing's own `close` if it has one.
        """
        entry = self._entries.setdefault(key, _Entry(close))
        entry.users += 1
        try:
            return entry.get(make)  # type: ignore[no-any-return]  # what `make` returned
        except BaseException:
            self._leave(key, entry)
            raise

    def release(self, key: Hashable) -> None:
        """Let go of a thing that was acquired; KeyError when it was not."""
        self._leave(key, self._entries[key])

    def _leave(self, key: Hashable, entry: "_Entry") -> None:
        entry.users -= 1
        if entry.users == 0:
            # Forgotten first: who asks while it closes gets a new one.
            del self._entries[key]
            entry.close()


class _Entry:
    def __init__(self, close: Callable[[Any], object] | None) -> None:
        self.users = 0
        self._closer = close
        self._making = Semaphore(1)
        self._is_made = False
        self._thing: Any = None

    def get(self, make: Callable[[], Any]) -> Any:
        with self._making:
            if not self._is_made:
                self._thing = make()
                self._is_made = True
        return self._thing

    def close(self) -> None:
        if not self._is_made:
            return
        if self._closer is not None:
            self._closer(self._thing)
        elif hasattr(self._thing, "close"):
            self._thing.close()
