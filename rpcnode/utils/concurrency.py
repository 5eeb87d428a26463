"""Calling many things at once in green threads, as Nameko's extensions do it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rpcnode.concurrency import Queue, kill, spawn

__all__ = ["SpawningProxy", "SpawningSet", "fail_fast_imap"]


class SpawningProxy:
    """Calls a method of all items at once: `SpawningProxy(items).stop()`.

    The call returns the results in the order of the items, None without items, once all have
    ended; then it raises the first error, if there is one. With `abort_on_error` it raises as soon
    as one fails, and kills the others.
    """

    def __init__(self, items: Iterable[Any], abort_on_error: bool = False) -> None:
        self._items = items
        self._abort_on_error = abort_on_error

    def __getattr__(self, name: str) -> Callable[..., list[Any] | None]:
        def call_all(*args: Any, **kwargs: Any) -> list[Any] | None:
            items = list(self._items)
            if not items:
                return None

            def call_one(item: Any) -> Any:
                return getattr(item, name)(*args, **kwargs)

            return _gather(spawn, call_one, items, fails_fast=self._abort_on_error)

        return call_all


class SpawningSet(set[Any]):
    """A set that calls a method of all its items at once: `extensions.all.start()`."""

    @property
    def all(self) -> SpawningProxy:
        """All items, as one object to call."""
        return SpawningProxy(self)


def fail_fast_imap(pool: Any, call: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield what `call` returns for each item, in the order of the items.

    The calls run at once, in green threads of `pool` (anything with `spawn(function, *args)`).
    When one fails the others are killed, and its error is raised.
    """
    yield from _gather(pool.spawn, call, list(items), fails_fast=True)


def _gather(
    start: Callable[..., Any], call: Callable[[Any], Any], items: list[Any], *, fails_fast: bool
) -> list[Any]:
    outcomes: Any = Queue()
    threads = [start(_report, outcomes, call, *each) for each in enumerate(items)]
    results: dict[int, Any] = {}
    failure: BaseException | None = None
    for _thread in threads:
        index, results[index], error = outcomes.get()
        failure = failure or error
        if failure is not None and fails_fast:
            break
    if failure is not None:
        for thread in threads:
            kill(thread)
        raise failure
    return [results[index] for index in range(len(items))]


def _report(outcomes: Any, call: Callable[[Any], Any], index: int, item: Any) -> None:
    try:
        result = call(item)
    except BaseException as exc:  # whatever it is, it is raised where the results are wanted
        outcomes.put((index, None, exc))
    else:
        outcomes.put((index, result, None))
