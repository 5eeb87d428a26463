"""Helpers for tests of services; the fixtures are in `rpcnode.pytest_plugin`."""

from rpcnode.testing.services import (
    EntrypointWaiterTimeout,
    MockDependencyProvider,
    StrictMock,
    dummy,
    entrypoint_hook,
    entrypoint_waiter,
    once,
    replace_dependencies,
    restrict_entrypoints,
    worker_factory,
)
from rpcnode.testing.waiting import WaitResult, wait_for_call

__all__ = [
    "EntrypointWaiterTimeout",
    "MockDependencyProvider",
    "StrictMock",
    "WaitResult",
    "dummy",
    "entrypoint_hook",
    "entrypoint_waiter",
    "once",
    "replace_dependencies",
    "restrict_entrypoints",
    "wait_for_call",
    "worker_factory",
]
