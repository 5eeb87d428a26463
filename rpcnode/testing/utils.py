"""Small things for tests, under the name that Nameko's users know."""

import functools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from rpcnode.concurrency import Timeout, sleep
from rpcnode.containers import ServiceContainer
from rpcnode.extensions.base import Entrypoint, Extension
from rpcnode.runners import ServiceRunner
from rpcnode.testing.pipeline import ResourcePipeline
from rpcnode.testing.rabbit import Client, NotThere

__all__ = [
    "ANY_PARTIAL",
    "AnyInstanceOf",
    "DummyProvider",
    "MockCallArgs",
    "ResourcePipeline",
    "assert_stops_raising",
    "find_free_port",
    "get_container",
    "get_extension",
    "get_rabbit_connections",
    "reset_rabbit_connections",
    "unpack_mock_call",
    "wait_for_call",
    "wait_for_worker_idle",
]

E = TypeVar("E", bound=Extension)

INTERVAL = 0.005  # seconds between two looks


def get_extension(
    container: ServiceContainer, extension_cls: type[E], **match_attrs: Any
) -> E | None:
    """Return the container's first extension of a class with these attributes, None without one.

    Raises AttributeError when an extension of that class lacks such an attribute.
    """
    for extension in container.extensions:
        if isinstance(extension, extension_cls) and all(
            getattr(extension, name) == value for name, value in match_attrs.items()
        ):
            return extension
    return None


def get_container(runner: ServiceRunner, service_cls: type) -> ServiceContainer | None:
    """Return the runner's container of a service class, None without one."""
    for container in runner.containers:
        if container.service_cls is service_cls:
            return container
    return None


class DummyProvider(Entrypoint):
    """An entrypoint that never fires, for tests of what uses entrypoints."""

    def __init__(self, method_name: str | None = None) -> None:
        super().__init__()
        if method_name is not None:
            self.method_name = method_name


def find_free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port of `host` that nobody listened on a moment ago."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def assert_stops_raising(
    fn: Callable[[], object],
    exception_type: type[BaseException] = Exception,
    timeout: float = 10,
    interval: float = 0.1,
) -> None:
    """Call `fn` again and again until it does not raise `exception_type` any more.

    Raises AssertionError, with the last error as its cause, after `timeout` seconds.
    """
    give_up = monotonic() + timeout
    while True:
        try:
            fn()
            return
        except exception_type as exc:
            if monotonic() >= give_up:
                raise AssertionError(f"it still raises {exc!r} after {timeout} seconds") from exc
        sleep(interval)


@contextmanager
def wait_for_call(timeout: float, mock_method: Any) -> Iterator[Any]:
    """Wait until a mock was called, then run the block with it.

    Raises TimeoutError after `timeout` seconds. `rpcnode.testing.waiting.wait_for_call` waits
    for a call of anything, at the end of its block.
    """
    with Timeout(timeout, TimeoutError(f"Timeout on {mock_method!r} after {timeout} seconds")):
        while not mock_method.called:
            sleep(INTERVAL)
    yield mock_method


def wait_for_worker_idle(container: ServiceContainer, timeout: float = 10) -> None:
    """Wait until no worker of a container runs and none waits for its turn.

    Raises TimeoutError after `timeout` seconds.
    """
    give_up = monotonic() + timeout
    while any(lane.running or lane.pending for lane in container.lanes):
        if monotonic() >= give_up:
            raise TimeoutError(f"{container!r} still has workers after {timeout} seconds")
        sleep(INTERVAL)


class MockCallArgs(NamedTuple):
    """The arguments of a call of a mock."""

    positional: tuple[Any, ...]
    keyword: dict[str, Any]


def unpack_mock_call(call: Any) -> MockCallArgs:
    """Return the arguments of a call that a mock has noted."""
    *_name, positional, keyword = call
    return MockCallArgs(positional, keyword)


def get_rabbit_connections(vhost: str, rabbit_manager: Client) -> list[dict[str, Any]]:
    """Return the connections to a virtual host, as the management API shows them."""
    connections = rabbit_manager.get_connections()
    return [each for each in connections if each.get("vhost") == vhost]


def reset_rabbit_connections(vhost: str, rabbit_manager: Client) -> None:
    """Close all connections to a virtual host from the broker's side."""
    for connection in get_rabbit_connections(vhost, rabbit_manager):
        with suppress(NotThere):  # it has gone by itself meanwhile
            rabbit_manager.delete_connection(connection["name"])


class AnyInstanceOf:
    """Equals every instance of a class, to compare calls of mocks with."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.cls)

    def __hash__(self) -> int:
        return hash(self.cls)

    def __repr__(self) -> str:
        return f"<any {self.cls.__name__}>"


ANY_PARTIAL = AnyInstanceOf(functools.partial)
