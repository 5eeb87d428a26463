"""Testing services: with their dependencies replaced, one entrypoint at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rpcnode.concurrency import Timeout
from rpcnode.containers import ServiceContainer
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import ContainerBeingKilled, ExtensionNotFound, RpcNodeError
from rpcnode.extensions.base import Entrypoint, declared_dependencies
from rpcnode.testing.mocks import MockDependencyProvider, StrictMock, mock_of
from rpcnode.testing.utils import get_extension
from rpcnode.testing.waiting import WaitResult
from rpcnode.testing.watching import Counts, FirstWorker, OneWorker

__all__ = [
    "EntrypointWaiterTimeout",
    "MockDependencyProvider",
    "Once",
    "StrictMock",
    "WaitResult",
    "dummy",
    "entrypoint_hook",
    "entrypoint_waiter",
    "get_extension",
    "once",
    "replace_dependencies",
    "restrict_entrypoints",
    "worker_factory",
]


class EntrypointWaiterTimeout(RpcNodeError):
    """Raised when a worker that a test waits for did not end in time."""


def worker_factory(service_cls: type, /, **dependencies: Any) -> Any:
    """Return an instance of a service that was never hosted, for a unit test.

    Each of its dependencies is the object given under its name, else a mock, which has the
    specification of the dependency's class if the return type of `get_dependency` tells that.
    Raises ExtensionNotFound for a name that is no dependency.
    """
    providers = declared_dependencies(service_cls)
    for name in dependencies:
        if name not in providers:
            raise ExtensionNotFound(f"no dependency {name!r} in {service_cls.__name__}")
    service = service_cls()
    for name, provider in providers.items():
        has_own = name in dependencies
        setattr(service, name, dependencies[name] if has_own else mock_of(provider, name))
    return service


@contextmanager
def entrypoint_hook(
    container: ServiceContainer,
    method_name: str,
    context_data: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
) -> Iterator[Callable[..., Any]]:
    """Yield a function that runs the method in a worker, as if its entrypoint had fired.

    It returns what the method returned, or raises the very exception it raised, once the
    worker is torn down; nothing is replied or acknowledged. The container need not have been
    started. When the container dies, its error is raised, and EntrypointWaiterTimeout after
    `timeout` seconds (None: no limit). Raises ExtensionNotFound for an unknown method. The
    function raises RuntimeError in another native thread than the one of the start.
    """
    entrypoint = _entrypoint_of(container, method_name)

    def hook(*args: Any, **kwargs: Any) -> Any:
        watch = OneWorker(container)
        with watch.observing(), _time_limit(container, method_name, timeout):
            watch.follow(_spawn(container, entrypoint, args, kwargs, context_data))
            watch.wait()
        return watch.result.get()

    yield hook


@contextmanager
def entrypoint_waiter(
    container: ServiceContainer,
    method_name: str,
    timeout: float | None = 30,
    callback: Counts | None = None,
) -> Iterator[WaitResult]:
    """Wait at the end of the block until a worker of the method has ended, torn down and all.

    `callback(worker_ctx, result, exc_info)` tells whether a worker is the one waited for; it is
    the first without it. Yields the WaitResult of that worker. Raises EntrypointWaiterTimeout
    (also known as `entrypoint_waiter.Timeout`) when block and waiting take more than `timeout`
    seconds (None: no limit); when the container ends, its error or ContainerBeingKilled.
    Raises RuntimeError for an unknown method, or in another native thread than its start.
    """
    if all(each.method_name != method_name for each in container.entrypoints):
        raise RuntimeError(f"{container.service_name} has no entrypoint `{method_name}`")

    def counts(worker_ctx: WorkerContext, result: Any, exc_info: ExcInfo | None) -> object:
        is_ours = worker_ctx.entrypoint.method_name == method_name
        return is_ours and (callback is None or callback(worker_ctx, result, exc_info))

    watch = FirstWorker(container, counts)
    with watch.observing(), _time_limit(container, method_name, timeout):
        yield watch.result
        watch.wait()


entrypoint_waiter.Timeout = EntrypointWaiterTimeout  # type: ignore[attr-defined]  # Nameko's name


def replace_dependencies(
    container: ServiceContainer, /, *dependency_names: str, **replacements: Any
) -> Any:
    """Let workers find other things in place of their dependencies.

    Under each of `dependency_names` they find a mock, as from `worker_factory`; it is
    returned, for several names as an iterator in their order. `replacements` are put in place
    as they are. Raises RuntimeError once the container was started, or when a name is in both;
    ExtensionNotFound for a name that is no dependency.
    """
    _check_not_started(container, "replace dependencies")
    if any(name in replacements for name in dependency_names):
        raise RuntimeError("Cannot replace the same dependency via both args and kwargs.")
    providers = {provider.attr_name: provider for provider in container.dependencies}
    for name in (*dependency_names, *replacements):
        if name not in providers:
            raise ExtensionNotFound(f"no dependency {name!r} in {container!r}")
    mocks = {name: mock_of(providers[name], name) for name in dependency_names}
    for name, dependency in {**mocks, **replacements}.items():
        index = container.dependencies.index(providers[name])
        stand_in = MockDependencyProvider(name, dependency).bind(container, name)
        container.dependencies[index] = stand_in
    return mocks[dependency_names[0]] if len(dependency_names) == 1 else iter(mocks.values())


def restrict_entrypoints(container: ServiceContainer, *method_names: str) -> None:
    """Remove all entrypoints but those of these methods.

    Raises RuntimeError once the container was started, ExtensionNotFound for an unknown method.
    """
    _check_not_started(container, "restrict entrypoints")
    for name in method_names:
        _entrypoint_of(container, name)
    container.entrypoints = [
        entrypoint for entrypoint in container.entrypoints if entrypoint.method_name in method_names
    ]


class Once(Entrypoint):
    """Fires once, when the container starts, with the arguments of the declaration."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(
            kwargs.pop("expected_exceptions", ()), kwargs.pop("sensitive_arguments", ())
        )
        self.args = args
        self.kwargs = kwargs

    def start(self) -> None:
        """Fire, without holding up the others that start."""
        self.lane.submit(self._run, _forget)

    def _run(self) -> None:
        self.container.run_worker(self, self.args, self.kwargs)


def _forget() -> None:
    """Do nothing: the container stops before a worker was free."""


once = Once.decorator
dummy = Entrypoint.decorator


def _spawn(container: ServiceContainer, *facts: Any) -> WorkerContext:
    try:
        return container.spawn_worker(*facts)
    except ContainerBeingKilled:
        container.wait()  # raises what it dies of, if that is an error
        raise


def _time_limit(container: ServiceContainer, method_name: str, timeout: float | None) -> Timeout:
    return Timeout(
        timeout,
        EntrypointWaiterTimeout(
            f"Timeout on {container.service_name}.{method_name} after {timeout} seconds"
        ),
    )


def _entrypoint_of(container: ServiceContainer, method_name: str) -> Entrypoint:
    for entrypoint in container.entrypoints:
        if entrypoint.method_name == method_name:
            return entrypoint
    raise ExtensionNotFound(f"no entrypoint {method_name!r} in {container!r}")


def _check_not_started(container: ServiceContainer, action: str) -> None:
    if container.started:
        raise RuntimeError(f"Cannot {action}: {container!r} has been started.")
