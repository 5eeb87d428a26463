"""Things that take a while to make and to destroy, made ahead and destroyed behind."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_END = object()


class ResourcePipeline:
    """Makes up to `size` things ahead, and destroys those that were used, in the background.

    `with pipeline.run():` around all, `with pipeline.get() as thing:` for each. What `create`
    raises is raised by `get`, and what `destroy` raises at the end of `run`, once all else is
    destroyed. Raises RuntimeError for a size of 0, which would be no limit.
    """

    def __init__(
        self, create: Callable[[], Any], destroy: Callable[[Any], object], size: int = 3
    ) -> None:
        if size < 1:
            raise RuntimeError(f"a pipeline holds at least one thing, not {size}")
        self.create = create
        self.destroy = destroy
        self.size = size
        self._is_ending = True  # there is nothing to get before it runs

    @contextmanager
    def run(self) -> Iterator[None]:
        """Make and destroy things as long as the block runs; destroy what is left at its end."""
        # Native threads, or green ones where the standard library is patched: what makes things
        # blocks one of them, and not the test.
        self._ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(self.size)
        self._used: queue.Queue[Any] = queue.Queue()
        self._failures: list[BaseException] = []
        self._is_ending = False
        threads = [threading.Thread(target=each) for each in (self._make, self._end)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._wind_up(*threads)
        if self._failures:
            raise self._failures[0]

    @contextmanager
    def get(self) -> Iterator[Any]:
        """Yield a thing that nobody else gets; it is destroyed after the block.

        Raises RuntimeError outside of `run`.
        """
        if self._is_ending:
            raise RuntimeError("a pipeline gives something inside `with pipeline.run():` only")
        thing, error = self._ready.get()
        if error is not None:
            raise error
        try:
            yield thing
        finally:
            self._used.put(thing)

    def _make(self) -> None:
        while not self._is_ending:
            made: tuple[Any, BaseException | None]
            try:
                made = self.create(), None
            except BaseException as exc:  # `pytest.skip`, too: it is raised by `get`
                made = None, exc
            self._ready.put(made)

    def _end(self) -> None:
        while (thing := self._used.get()) is not _END:
            try:
                self.destroy(thing)
            except BaseException as exc:  # the others must be destroyed as well
                self._failures.append(exc)

    def _wind_up(self, maker: threading.Thread, ender: threading.Thread) -> None:
        self._is_ending = True
        while maker.is_alive() or not self._ready.empty():
            try:
                thing, error = self._ready.get(timeout=0.05)
            except queue.Empty:
                continue  # the maker has not finished its last one
            if error is None:
                self._used.put(thing)
        self._used.put(_END)
        ender.join()
