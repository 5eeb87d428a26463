"""Observers that tell a test when the worker it waits for has ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_native_id
from typing import Any

from rpcnode.concurrency import Event, GreenletExit, kill, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import ContainerBeingKilled, RpcNodeError
from rpcnode.testing.waiting import WaitResult

Counts = Callable[[WorkerContext, Any, ExcInfo | None], object]


class Watch:
    """Observes a container until the worker that a test waits for, or the container, has ended."""

    def __init__(self, container: ServiceContainer) -> None:
        _check_thread(container)
        self.result = WaitResult()
        self._container = container
        self._is_over: Event[None] = Event()

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Observe as long as the block runs."""
        self._container.observers.add(self)
        watcher = spawn(self._watch_container)
        try:
            yield
        finally:
            kill(watcher)
            self._container.observers.remove(self)

    def wait(self) -> None:
        """Wait for the end; raise why there is no result."""
        self._is_over.wait()
        self._is_over.result()

    def _watch_container(self) -> None:
        try:
            self._container.wait()
        except GreenletExit:
            raise
        except BaseException as exc:  # it is raised in the test
            self._is_over.fail(exc)
        else:
            self._is_over.fail(ContainerBeingKilled(f"{self._container!r} has ended"))


class OneWorker(Watch):
    """Waits for a worker that may have ended before the test knows which one it is."""

    def __init__(self, container: ServiceContainer) -> None:
        super().__init__(container)
        self._outcomes: dict[WorkerContext, tuple[Any, ExcInfo | None]] = {}
        self._finished: set[WorkerContext] = set()
        self._worker_ctx: WorkerContext | None = None

    def follow(self, worker_ctx: WorkerContext) -> None:
        """Wait for this worker."""
        self._worker_ctx = worker_ctx
        self._check()

    def worker_completed(
        self, worker_ctx: WorkerContext, result: Any, exc_info: ExcInfo | None
    ) -> None:
        """Called when the outcome of any worker is final."""
        self._outcomes[worker_ctx] = result, exc_info

    def worker_finished(self, worker_ctx: WorkerContext) -> None:
        """Called when any worker is torn down."""
        self._finished.add(worker_ctx)
        self._check()

    def _check(self) -> None:
        worker_ctx = self._worker_ctx
        if worker_ctx is None or worker_ctx not in self._finished:
            return
        if worker_ctx in self._outcomes:
            self.result.send(*self._outcomes[worker_ctx])
            self._is_over.set()
        elif not self._container.is_stopping:  # else the container's end says why
            self._is_over.fail(RpcNodeError(f"worker {worker_ctx.call_id} was killed"))


class FirstWorker(Watch):
    """Waits for the first worker that counts."""

    def __init__(self, container: ServiceContainer, counts: Counts) -> None:
        super().__init__(container)
        self._counts = counts
        self._worker_ctx: WorkerContext | None = None

    def worker_completed(
        self, worker_ctx: WorkerContext, result: Any, exc_info: ExcInfo | None
    ) -> None:
        """Called when the outcome of any worker is final."""
        if self._worker_ctx is not None:
            return
        try:
            is_it = self._counts(worker_ctx, result, exc_info)
        except Exception as exc:  # the test's own; observers are not listened to
            self._is_over.fail(exc)
            return
        if is_it:
            self._worker_ctx = worker_ctx
            self.result.send(result, exc_info)

    def worker_finished(self, worker_ctx: WorkerContext) -> None:
        """Called when any worker is torn down."""
        if worker_ctx is self._worker_ctx:
            self._is_over.set()


def _check_thread(container: ServiceContainer) -> None:
    # Green threads of another native thread are never woken from here: it would hang.
    if container.native_thread not in (None, get_native_id()):
        raise RuntimeError(f"use it in the thread that started the container: {container!r}")
