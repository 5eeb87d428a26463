"""The container: hosts one service, runs its workers, starts and stops its extensions."""

import logging
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import get_native_id
from typing import Any

from rpcnode.concurrency import Event, GreenletExit, GreenThread, is_patched, kill, spawn
from rpcnode.config import Config, as_config
from rpcnode.context import ExcInfo, WorkerContext, new_call_id
from rpcnode.exceptions import ConfigurationError, ContainerBeingKilled, RpcNodeError
from rpcnode.extensions.base import (
    DependencyProvider,
    Entrypoint,
    Extension,
    declared_dependencies,
    declared_entrypoints,
    iter_extensions,
)
from rpcnode.lanes import Lane
from rpcnode.locating import locate
from rpcnode.masking import describe
from rpcnode.observers import Observers
from rpcnode.resources import Resources
from rpcnode.shutdown import Shutdown, kill_extension, kill_threads
from rpcnode.workers import HandleResult, Worker

__all__ = [
    "ServiceContainer",
    "WorkerContext",
    "get_container_cls",
    "get_service_name",
    "new_call_id",
]

logger = logging.getLogger(__name__)

DRAIN = "drain"  # the SHUTDOWN_MODE in which what was received is done as well


class ServiceContainer:
    """Hosts one service class.

    Before it starts, `entrypoints` and `dependencies` may be changed, and `resources` replaced
    by what it shares with other containers. `ready` is set once everything has started.
    """

    def __init__(self, service_cls: type, config: Config | Mapping[str, Any] | None = None) -> None:
        self.service_cls = service_cls
        self.service_name = get_service_name(service_cls)
        self.config = as_config(config)
        self.max_workers: int = self.config["MAX_WORKERS"]
        self.default_lane = Lane(self.service_name, self.max_workers)
        self.lanes = [self.default_lane]
        self.observers = Observers()
        self.health_checks: list[Callable[[], list[str]]] = []  # each returns what is wrong
        self.resources = Resources()
        self.started = False
        self.native_thread: int | None = None  # where it was started, and everything of it runs
        self.is_stopping = False
        self.ready: Event[None] = Event()
        self._died: Event[None] = Event()
        self._is_being_killed = False
        self._phase: GreenThread | None = None  # what starts or stops this container now
        self._start_ended: Event[None] = Event()
        self._set_up: list[Extension] = []
        self._managed: dict[GreenThread, str] = {}
        self.shared_extensions: dict[Hashable, Any] = {}
        self.dependencies: list[DependencyProvider] = [
            template.bind(self, name)
            for name, template in declared_dependencies(service_cls).items()
        ]
        self.entrypoints: list[Entrypoint] = [
            template.bind(self, name) for name, template in declared_entrypoints(service_cls)
        ]

    def __repr__(self) -> str:
        return f"<ServiceContainer {self.service_name}>"

    @property
    def subextensions(self) -> list[Extension]:
        """What dependencies and entrypoints use; what is used before what uses it."""
        owners: list[Extension] = [*self.dependencies, *self.entrypoints]
        return list(dict.fromkeys(each for owner in owners for each in iter_extensions(owner)))

    @property
    def extensions(self) -> list[Extension]:
        """All extensions, in the order in which they are set up and started."""
        return [*self.subextensions, *self.dependencies, *self.entrypoints]

    @property
    def serializer(self) -> str:
        """The name of the serializer that messages are sent with."""
        return str(self.config["SERIALIZER"])

    @property
    def accept(self) -> list[str]:
        """The names of the serializers of messages that are read."""
        return list(self.config["ACCEPT"] or [self.serializer])

    @property
    def interface(self) -> "ServiceContainer":
        """The container itself; there is nothing to hide from extensions."""
        return self

    def lane_of(self, entrypoint: Entrypoint) -> Lane:
        """Return the lane of a newly bound entrypoint: its own if it wants workers of its own."""
        if entrypoint.max_workers is None:
            return self.default_lane
        lane = Lane(f"{self.service_name}.{entrypoint.method_name}", entrypoint.max_workers)
        self.lanes.append(lane)
        return lane

    def start(self) -> None:
        """Set up and start every extension, what is used before what uses it.

        When one fails, those that were set up are stopped, and the error is raised. When
        `stop` or `kill` is called meanwhile, it ends early, without an error.
        """
        if self.started or self.is_stopping:
            raise RpcNodeError(f"{self!r} cannot be started twice: make a new one")
        self.started = True
        self.native_thread = get_native_id()
        self._warn_if_unpatched()
        self._phase = spawn(self._bring_up)
        # A thread that is killed before it begins sets nothing itself.
        self._phase.link(lambda _thread: self._start_ended.set())
        try:
            self._start_ended.wait()
        except BaseException:  # who starts us is interrupted, and will not stop us
            self.kill()
            raise
        self._start_ended.result()

    def stop(self) -> None:
        """Stop in good order: first no new work, then the workers, then all they may need.

        Workers that run longer than SHUTDOWN_TIMEOUT are killed. Whoever calls while it stops
        or is killed waits for the end.
        """
        if not self.is_stopping:
            self.is_stopping = True
            starting, self._phase = self._phase, None
            self._phase = spawn(self._wind_down, starting)
        self._died.wait()

    def kill(self, exc_info: ExcInfo | None = None) -> None:
        """End at once, without waiting; `wait` raises the error of `exc_info`.

        Workers are killed: their dependencies are torn down, and their messages stay
        unacknowledged. Later calls do nothing.
        """
        if self._is_being_killed or self._died.is_set():
            return
        self._is_being_killed = self.is_stopping = True
        logger.debug("killing %r", self)
        kill_threads([] if self._phase is None else [self._phase])
        for entrypoint in self._set_up_of(self.entrypoints):
            kill_extension(entrypoint)
        for lane in self.lanes:
            lane.kill()
        for extension in reversed(self._set_up_of([*self.subextensions, *self.dependencies])):
            kill_extension(extension)
        kill_threads(self._managed)
        self._die(None if exc_info is None else exc_info[1])

    def wait(self) -> None:
        """Wait until this is stopped or killed; raise what it was killed with."""
        self._died.wait()
        self._died.result()

    def problems(self) -> list[str]:
        """Return what keeps this from working, in words; nothing when it is ready."""
        if self.is_stopping:
            return [f"{self.service_name} is stopping"]
        if not self.ready.is_set():
            return [f"{self.service_name} is starting"]
        found = [problem for check in self.health_checks for problem in check()]
        return [f"{self.service_name}: {problem}" for problem in found]

    def spawn_worker(  # Nameko's signature, and what is new by keyword
        self,
        entrypoint: Entrypoint,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        context_data: Mapping[str, Any] | None = None,
        handle_result: HandleResult | None = None,
        *,
        deadline: float | None = None,
        message: Any = None,
    ) -> WorkerContext:
        """Run the entrypoint's method in a new green thread; block until a worker is free.

        `handle_result(worker_ctx, result, exc_info)` is called with the outcome, and returns
        it, as it is or changed. `deadline` and `message` are those of the worker context.
        Raises ContainerBeingKilled when the container takes no new work.
        """
        worker_ctx = self._new_context(
            entrypoint, args, kwargs, context_data, deadline, message, None
        )
        entrypoint.lane.spawn(Worker(worker_ctx, handle_result).run)
        return worker_ctx

    def run_worker(
        self,
        entrypoint: Entrypoint,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        context_data: Mapping[str, Any] | None = None,
        handle_result: HandleResult | None = None,
        *,
        deadline: float | None = None,
        message: Any = None,
        origin: Any = None,
    ) -> WorkerContext:
        """Do the same in the current green thread, for what a lane runs; `origin` is kept."""
        worker_ctx = self._new_context(
            entrypoint, args, kwargs, context_data, deadline, message, origin
        )
        Worker(worker_ctx, handle_result).run()
        return worker_ctx

    def spawn_managed_thread(
        self, fn: Callable[[], object], identifier: str | None = None
    ) -> GreenThread:
        """Run `fn` in a green thread that belongs to the container.

        An error in it kills the container; it is killed itself when the container ends.
        """
        if self._died.is_set():
            raise ContainerBeingKilled(f"{self!r} has ended: it runs no threads")
        name = identifier or str(getattr(fn, "__qualname__", fn))
        thread = spawn(self._supervise, fn, name)
        self._managed[thread] = name
        thread.link(self._managed.pop)
        return thread

    def _new_context(  # no options by name: passing them on takes as long as all the rest
        self,
        entrypoint: Entrypoint,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        data: Mapping[str, Any] | None,
        deadline: float | None,
        message: Any,
        origin: Any,
    ) -> WorkerContext:
        if self._is_being_killed:
            raise ContainerBeingKilled(f"{self!r} is being killed")
        return WorkerContext(
            self,
            None,
            entrypoint,
            args,
            kwargs,
            data,
            deadline=deadline,
            message=message,
            origin=origin,
            # It is looked up each time: tests replace it to get ids that they know.
            unique_id=new_call_id(),
        )

    def _supervise(self, fn: Callable[[], object], identifier: str) -> None:
        try:
            fn()
        except (GreenletExit, KeyboardInterrupt):
            raise
        except BaseException:  # whatever it is, the container lacks this thread now
            logger.critical("%r dies of its thread %s", self, identifier, exc_info=True)
            self.kill(sys.exc_info())  # type: ignore[arg-type]  # there is one

    def _warn_if_unpatched(self) -> None:
        # A test on the embedded broker has no need of the patch; what serves others has.
        is_embedded = self.config["AMQP_URI"].lower().startswith("memory:")
        if not (is_embedded or is_patched()) and self.resources.is_first("unpatched"):
            logger.warning(
                "the standard library is not patched, so a blocking call in one worker holds up "
                "all others: call rpcnode.concurrency.monkey_patch() before anything is imported"
            )

    def _bring_up(self) -> None:
        try:
            extensions = self.extensions
            for extension in extensions:
                self._set_up_one(extension)
            for extension in extensions:
                if not self.is_stopping:
                    extension.start()
        except BaseException as exc:
            if self.is_stopping:
                raise  # `stop` or `kill` came in between, and does the rest
            self._give_up(exc)
        else:
            if not self.is_stopping:
                self.ready.set()

    def _set_up_one(self, extension: Extension) -> None:
        if self.is_stopping:
            raise GreenletExit
        try:
            extension.setup()
        except BaseException:
            kill_extension(extension)  # it may have made something before it failed
            raise
        self._set_up.append(extension)

    def _give_up(self, error: BaseException) -> None:
        self.is_stopping = True
        self._stop_everything()
        self._start_ended.fail(error)
        self._die(error)

    def _wind_down(self, starting: GreenThread | None) -> None:
        if starting is not None:
            kill(starting)
            self._start_ended.wait()
        self._stop_everything()
        self._die(None)

    def _stop_everything(self) -> None:
        logger.debug("stopping %r", self)
        shutdown = Shutdown(self.config["SHUTDOWN_TIMEOUT"])
        entrypoints = self._set_up_of(self.entrypoints)
        shutdown.begin(entrypoints, self._set_up_of([*self.subextensions, *self.dependencies]))
        shutdown.end_lanes(self.lanes, is_drained=self.config["SHUTDOWN_MODE"] == DRAIN)
        shutdown.finish()
        # These go last and in reverse: workers that still ran needed them.
        shutdown.stop(self._set_up_of(self.dependencies)[::-1])
        shutdown.stop(self._set_up_of(self.subextensions)[::-1])
        kill_threads(self._managed)

    def _set_up_of(self, extensions: Sequence[Extension]) -> list[Extension]:
        return [extension for extension in extensions if extension in self._set_up]

    def _die(self, error: BaseException | None) -> None:
        logger.debug("%r has ended", self)
        if error is None:
            self._died.set()
        else:
            self._died.fail(error)


def get_service_name(service_cls: type) -> str:
    """Return the name of a service; ConfigurationError if it has none, or is no class."""
    if not isinstance(service_cls, type):
        raise ConfigurationError(f"a service must be a class, not {describe(service_cls)}")
    name = getattr(service_cls, "name", None)
    if name is None:
        raise ConfigurationError(f"service class {class_path(service_cls)} has no `name`")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(
            f"the `name` of service class {class_path(service_cls)} must be a text, not {name!r}"
        )
    return name


def class_path(cls: type) -> str:
    """Return `module.Class`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def get_container_cls(config: Config | Mapping[str, Any] | None) -> type[ServiceContainer]:
    """Return the class that SERVICE_CONTAINER_CLS names, ServiceContainer if it names none."""
    path = as_config(config)["SERVICE_CONTAINER_CLS"]
    if path is None:
        return ServiceContainer
    container_cls = locate(path)
    if not isinstance(container_cls, type):
        raise ConfigurationError(f"SERVICE_CONTAINER_CLS: there is no class {path!r}")
    return container_cls
