"""The runner: hosts several services in one process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rpcnode.concurrency import Event, GreenletExit, spawn
from rpcnode.config import Config, as_config
from rpcnode.containers import (
    ServiceContainer,
    class_path,
    get_container_cls,
    get_service_name,
)
from rpcnode.exceptions import ConfigurationError
from rpcnode.resources import Resources


class ServiceRunner:
    """Starts and stops containers together; they share one `Resources`."""

    def __init__(self, config: Config | Mapping[str, Any] | None = None) -> None:
        self.config = as_config(config)
        self.container_cls = get_container_cls(self.config)
        self.resources = Resources()
        self.service_map: dict[str, ServiceContainer] = {}

    @property
    def service_names(self) -> list[str]:
        """The names of the services."""
        return list(self.service_map)

    @property
    def containers(self) -> list[ServiceContainer]:
        """The containers, in the order in which their services were added."""
        return list(self.service_map.values())

    def add_service(self, service_cls: type) -> None:
        """Host `service_cls`; ConfigurationError when another service has its name."""
        name = get_service_name(service_cls)
        if name in self.service_map:
            other = class_path(self.service_map[name].service_cls)
            raise ConfigurationError(
                f"two services are named {name!r}: {other} and {class_path(service_cls)}"
            )
        container = self.container_cls(service_cls, self.config)
        container.resources = self.resources
        self.service_map[name] = container

    def start(self) -> None:
        """Start all containers at once; when one fails, stop all, and raise its error."""
        self._with_all(lambda container: container.start())

    def stop(self) -> None:
        """Stop all containers at once, in good order; wait for that."""
        self._with_all(lambda container: container.stop())

    def kill(self) -> None:
        """End all containers at once, without waiting."""
        for container in self.containers:
            container.kill()

    def wait(self) -> None:
        """Wait until all containers have ended; when one dies, stop all, and raise its error."""
        self._with_all(lambda container: container.wait())

    def _with_all(self, action: Callable[[ServiceContainer], None]) -> None:
        failure: Event[None] = Event()

        def act(container: ServiceContainer) -> None:
            try:
                action(container)
            except GreenletExit:
                raise
            except BaseException as exc:  # one for all; it is raised below
                if failure.fail(exc):
                    self.stop()

        for thread in [spawn(act, container) for container in self.containers]:
            thread.wait()
        if failure.is_set():
            failure.result()


@contextmanager
def run_services(
    config: Config | Mapping[str, Any] | type | None, *services: type, kill_on_exit: bool = False
) -> Iterator[ServiceRunner]:
    """Host `services` as long as the block runs; the configuration may be left out.

    At its end, also when it raises, they are stopped, or killed if `kill_on_exit` says so.
    """
    classes = (config, *services) if isinstance(config, type) else services
    runner = ServiceRunner(None if isinstance(config, type) else config)
    for service_cls in classes:
        runner.add_service(service_cls)
    runner.start()
    try:
        yield runner
    finally:
        if kill_on_exit:
            runner.kill()
        else:
            runner.stop()
