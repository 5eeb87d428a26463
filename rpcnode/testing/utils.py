"""Small things for tests, under the name that Nameko's users know."""

import functools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

from rpcnode.concurrency import Timeout, sleep
from rpcnode.containers import ServiceContainer
from rpcnode.extensions.base import Entrypoint, Extension
from rpcnode.runners import ServiceRunner

E = TypeVar("E", bound=Extension)


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
            sleep(0.005)
    yield mock_method


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
