"""What stands in for the dependencies of a service under test."""

import collections.abc
import itertools
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_origin, get_type_hints

from mock import DEFAULT, MagicMock, call, create_autospec, patch

from rpcnode import containers
from rpcnode.config import Config
from rpcnode.context import WorkerContext
from rpcnode.extensions.base import DependencyProvider
from rpcnode.lanes import Lane
from rpcnode.observers import Observers
from rpcnode.resources import Resources

# Classes that say nothing about what can be done with an instance.
_VAGUE = (object, type, types.NoneType, types.UnionType, Any, collections.abc.Callable)


class StrictMock(MagicMock):
    """A mock that fails where a test did not say what a call returns or raises.

    Set `return_value` or `side_effect` of what may be called; any other call, of the mock or of
    anything it has, raises AssertionError. The arguments are those of `MagicMock`.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return or raise what was set."""
        # Asking for `return_value` would make one: what it is in is the only way to know.
        is_prepared = self.__dict__["_mock_return_value"] is not DEFAULT
        if not is_prepared and self.side_effect is None:
            raise AssertionError(f"unexpected {call(*args, **kwargs)!r} of {self!r}")
        return super().__call__(*args, **kwargs)


class MockDependencyProvider(DependencyProvider):
    """Injects `dependency`, a mock unless given, as `attr_name`."""

    def __init__(self, attr_name: str, dependency: Any = MagicMock) -> None:
        self.attr_name = attr_name
        # In a tuple: a mock may pass for an extension, and would be bound as a part of this.
        self._held = (MagicMock(name=attr_name) if dependency is MagicMock else dependency,)

    @property
    def dependency(self) -> Any:
        """What is injected."""
        return self._held[0]

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Return the same object for each worker."""
        return self.dependency


def mock_of(provider: DependencyProvider, name: str) -> Any:
    """Return a mock of what `provider` injects, with its specification where that is known."""
    dependency_cls = _type_of_dependency(provider)
    if dependency_cls is None:
        return MagicMock(name=name)
    return create_autospec(dependency_cls, instance=True, name=name)


def mock_of_container() -> Any:
    """Return a mock of a container that extensions can be bound to.

    Its configuration, which may be changed, has all defaults. It runs nothing:
    `spawn_worker` and `spawn_managed_thread` note that they were called.
    """
    container = create_autospec(containers.ServiceContainer, instance=True)
    # What its `__init__` sets is no part of the class, and so of the specification.
    container.config = Config({}).copy()
    container.service_name = "service"
    container.max_workers = container.config["MAX_WORKERS"]
    container.serializer, container.accept = "json", ["json"]
    container.shared_extensions = {}
    container.entrypoints, container.dependencies, container.health_checks = [], [], []
    container.started = container.is_stopping = False
    container.observers, container.resources = Observers(), Resources()
    container.default_lane = Lane(container.service_name, container.max_workers)
    container.lanes = [container.default_lane]
    container.lane_of.return_value = container.default_lane
    return container


@contextmanager
def counted_call_ids() -> Iterator[Any]:
    """Let calls have the unique ids "0", "1", ... while the block runs; yield the mock."""
    with patch.object(containers, "new_call_id", autospec=True) as new_call_id:
        new_call_id.side_effect = map(str, itertools.count())
        yield new_call_id


def _type_of_dependency(provider: DependencyProvider) -> type | None:
    """Return the class that `get_dependency` is annotated with, None where it tells too little."""
    try:
        annotation = get_type_hints(type(provider).get_dependency).get("return")
    except Exception:  # names that exist for type checkers only; whatever evaluating them raises
        return None
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type) or cls in _VAGUE or hasattr(cls, "__getattr__"):
        return None
    return cls
