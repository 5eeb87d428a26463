"""What a container hosts: extensions, and how they are declared, found and bound.

In the class body stands a *template*. Binding makes a copy of it for one container, by calling
its constructor again with the same arguments, so that containers share nothing.
"""

import functools
import inspect
import logging
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rpcnode.concurrency import Event
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import ConfigurationError, IncorrectSignature
from rpcnode.signatures import Signature, function_of

if TYPE_CHECKING:
    from rpcnode.lanes import Lane

F = TypeVar("F")

ENTRYPOINT_EXTENSIONS_ATTR = "rpcnode_entrypoints"


class Extension:
    """Anything a container hosts. Override what you need: all the hooks do nothing.

    Extensions that an extension uses are declared as attributes of its class or set in its
    `__init__`; they are bound with it, set up before it, started before it and stopped after it.
    """

    container: Any = None
    __arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remember the arguments of the constructor, from which copies are made."""
        extension = super().__new__(cls)
        extension.__arguments = (args, kwargs)
        return extension

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label() if self.is_bound() else '(template)'}>"

    def _label(self) -> str:
        return f"of {self.container.service_name}"

    def setup(self) -> None:
        """Called before the container starts; make here what you need."""

    def start(self) -> None:
        """Called when every extension is set up; begin to work."""

    def retire(self) -> None:
        """Called before anything is stopped; take no new work, and wait for what was accepted."""

    def stop(self) -> None:
        """Called when the container stops; end what was begun, and wait for that."""

    def kill(self) -> None:
        """Called when there is no time, or when `setup` failed; let go of everything at once."""

    def bind(self, container: Any) -> Self:
        """Return a copy of this template that belongs to `container`."""
        args, kwargs = self.__arguments
        bound = type(self)(*args, **kwargs)
        bound.container = container
        for name, extension in sub_extensions(bound).items():
            setattr(bound, name, extension.bind(container))
        return bound

    def is_bound(self) -> bool:
        """Return whether this belongs to a container; a template does not."""
        return self.container is not None


class SharedExtension(Extension):
    """An extension that a container has once, however many others use it."""

    @property
    def sharing_key(self) -> Any:
        """Templates with equal keys are one extension in a container."""
        return type(self)

    def bind(self, container: Any) -> Self:
        """Return the container's one copy, made from the first template that is bound."""
        shared: dict[Hashable, Any] = container.shared_extensions
        if self.sharing_key not in shared:
            shared[self.sharing_key] = super().bind(container)
        return shared[self.sharing_key]  # type: ignore[no-any-return]  # equal keys, equal type


class DependencyProvider(Extension):
    """Gives each worker something to find under the name of the declaration."""

    attr_name: str | None = None
    works_alone = False  # whether a service with this alone is worth hosting

    def bind(self, container: Any, attr_name: str | None = None) -> Self:
        """Return a copy for `container`, known as `attr_name` in the service."""
        bound = super().bind(container)
        bound.attr_name = attr_name
        return bound

    def _label(self) -> str:
        return f"{self.container.service_name}.{self.attr_name}"

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Called for each worker; return what it finds in place of the declaration."""

    def worker_setup(self, worker_ctx: WorkerContext) -> None:
        """Called before the method runs, when all dependencies are injected."""

    def worker_complete(
        self, worker_ctx: WorkerContext, result: Any = None, exc_info: ExcInfo | None = None
    ) -> None:
        """Called when the method is done and nobody was told yet: commit or roll back.

        An error here becomes the worker's error, unless there is one already.
        """

    def worker_result(
        self, worker_ctx: WorkerContext, result: Any = None, exc_info: ExcInfo | None = None
    ) -> None:
        """Called when the outcome was handled; an error here is logged and changes nothing."""

    def worker_teardown(self, worker_ctx: WorkerContext) -> None:
        """Called at the end of every worker whose `worker_setup` was called, killed ones too."""


class ProviderCollector:
    """Mixed into a shared extension that must outlive the extensions that use it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._providers: set[Any] = set()
        self._all_gone: Event[None] = Event()
        super().__init__(*args, **kwargs)

    def register_provider(self, provider: Any) -> None:
        """Note that `provider` is going to use this."""
        if not self._providers and self._all_gone.is_set():
            self._all_gone = Event()
        self._providers.add(provider)

    def unregister_provider(self, provider: Any) -> None:
        """Note that `provider` is done; one that was not registered is ignored."""
        if provider in self._providers:
            self._providers.remove(provider)
            if not self._providers:
                self._all_gone.set()

    def wait_for_providers(self) -> None:
        """Wait until no provider is registered (any more)."""
        while self._providers:
            self._all_gone.wait()

    def stop(self) -> None:
        """Called when the container stops; wait for those that use this."""
        self.wait_for_providers()


class Entrypoint(Extension):
    """Fires a method of the service.

    - `expected_exceptions`: the caller's fault; they are logged as warnings.
    - `sensitive_arguments`: names of arguments that must not be shown.
    - `timeout`: seconds that a worker may take, None for no limit.
    - `max_workers`: gives the entrypoint a lane of its own, of that many workers.
    """

    method_name: str = None  # type: ignore[assignment]  # until it is bound, as in Nameko
    lane: "Lane"
    expected_exceptions: tuple[type[BaseException], ...] = ()
    sensitive_arguments: tuple[str, ...] = ()
    timeout: float | None = None
    max_workers: int | None = None
    collects_items = True  # else what a generator yields is for `origin` of the worker context

    def __init__(
        self,
        expected_exceptions: Any = (),
        sensitive_arguments: str | Sequence[str] = (),
        *,
        timeout: float | None = None,
        max_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        sensitive_variables = kwargs.pop("sensitive_variables", ())
        if sensitive_variables:
            warnings.warn(
                "sensitive_variables is deprecated, write sensitive_arguments",
                DeprecationWarning,
                stacklevel=4,  # past the decorator
            )
        for option in kwargs:
            raise ConfigurationError(f"{type(self).__name__} knows no option {option!r}")
        self.expected_exceptions = _exceptions(expected_exceptions)
        self.sensitive_arguments = _as_tuple(sensitive_arguments or sensitive_variables)
        self.timeout = _positive("timeout", timeout, (int, float))
        self.max_workers = _positive("max_workers", max_workers, (int,))
        super().__init__()

    def bind(self, container: Any, method_name: str) -> Self:  # type: ignore[override]  # Nameko's
        """Return a copy for `container` that fires `method_name`, in its lane."""
        bound = super().bind(container)
        bound.method_name = method_name
        bound.lane = container.lane_of(bound)
        return bound

    def _label(self) -> str:
        return f"{self.container.service_name}.{self.method_name}"

    def check_signature(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise IncorrectSignature unless the method can be called with these arguments."""
        self.signature.check(args, kwargs)

    def check_takes_nothing(self) -> None:
        """Raise ConfigurationError when the method cannot be called without arguments."""
        try:
            self.check_signature((), {})
        except IncorrectSignature as exc:
            raise ConfigurationError(f"{exc}: write `def {self.method_name}(self)`") from exc

    def encode_result(self, worker_ctx: WorkerContext, result: Any) -> Any:
        """Return `result` as it is going to be sent; an error here is the worker's error."""
        return result

    def failure_level(self, error: BaseException) -> int:
        """Return the level at which a worker's failure is logged."""
        return logging.WARNING if isinstance(error, self.expected_exceptions) else logging.ERROR

    def describe_failure(self, worker_ctx: WorkerContext, error: BaseException) -> tuple[int, str]:
        """Return the level at which a worker's failure is logged, and what comes next, if known."""
        return self.failure_level(error), ""

    @functools.cached_property
    def signature(self) -> Signature:
        """The parameters of the method."""
        method = inspect.getattr_static(self.container.service_cls, self.method_name)
        return Signature(self._label(), method)

    @classmethod
    def decorator(cls, *args: Any, **kwargs: Any) -> Any:
        """Declare such an entrypoint; used with and without arguments.

        Assign it to the name users write: `rpc = Rpc.decorator`.
        """
        if len(args) == 1 and not kwargs and isinstance(args[0], _FUNCTIONS):
            return register_entrypoint(args[0], cls._without_arguments())

        def register(function: F) -> F:
            return register_entrypoint(function, cls(*args, **kwargs))

        return register

    @classmethod
    def _without_arguments(cls) -> Self:
        try:
            inspect.signature(cls.__init__).bind(None)
        except TypeError as exc:
            raise ConfigurationError(
                f"the decorator of {cls.__name__} wants arguments, in parentheses: {exc}"
            ) from exc
        return cls()


_FUNCTIONS = (FunctionType, staticmethod, classmethod)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    is_collection = isinstance(value, Iterable) and not isinstance(value, (str, type))
    return tuple(value) if is_collection else (value,)


def _exceptions(value: Any) -> tuple[type[BaseException], ...]:
    for each in _as_tuple(value):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ConfigurationError(f"expected_exceptions must be exception classes, not {each!r}")
    return _as_tuple(value)


def _positive(option: str, value: Any, types: tuple[type, ...]) -> Any:
    is_number = isinstance(value, types) and not isinstance(value, bool)
    if value is None or (is_number and value > 0):
        return value
    kind = " or ".join(each.__name__ for each in types)
    raise ConfigurationError(f"{option} must be a positive {kind}, not {value!r}")


def register_entrypoint(function: F, entrypoint: Entrypoint) -> F:
    """Note that `entrypoint` (a template) fires `function`; return the function."""
    # A new list: wrappers made with functools.wraps refer to the one of what they wrap.
    entrypoints = [*_entrypoints_of(function), entrypoint]
    setattr(function_of(function), ENTRYPOINT_EXTENSIONS_ATTR, entrypoints)
    return function


def _entrypoints_of(method: Any) -> list[Entrypoint]:
    noted = getattr(function_of(method), ENTRYPOINT_EXTENSIONS_ATTR, None)
    return noted if isinstance(noted, list) else []


def is_extension(value: object) -> bool:
    """Return whether `value` is an extension."""
    return isinstance(value, Extension)


def is_dependency(value: object) -> bool:
    """Return whether `value` is a dependency provider."""
    return isinstance(value, DependencyProvider)


def is_entrypoint(value: object) -> bool:
    """Return whether `value` is a method that entrypoints fire."""
    return bool(_entrypoints_of(value))


def iter_extensions(extension: Extension) -> Iterator[Extension]:
    """Yield all that `extension` uses, directly or not; what is used before what uses it."""
    for each in sub_extensions(extension).values():
        yield from iter_extensions(each)
        yield each


def sub_extensions(extension: Extension) -> dict[str, Extension]:
    """Return what `extension` itself declares: attributes of its class, then of the instance."""
    attributes = {**class_attributes(type(extension)), **vars(extension)}
    return {name: value for name, value in attributes.items() if is_extension(value)}


def class_attributes(cls: type) -> dict[str, Any]:
    """Return the attributes of a class as written, in the order of their declaration.

    Base classes come first, and what a derived class overrides keeps its place.
    """
    attributes: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        attributes.update(vars(base))
    return attributes


def declared_dependencies(service_cls: type) -> dict[str, DependencyProvider]:
    """Return the templates of dependency providers in a service, in order of declaration."""
    attributes = class_attributes(service_cls)
    for name, value in attributes.items():
        _check_is_no_class(f"{service_cls.__qualname__}.{name}", value)
    return {name: value for name, value in attributes.items() if is_dependency(value)}


def _check_is_no_class(label: str, value: Any) -> None:
    # One that is defined in the class body has that place in its own name.
    is_provider = isinstance(value, type) and issubclass(value, DependencyProvider)
    if is_provider and value.__qualname__ != label:
        raise ConfigurationError(
            f"{label} is the class {value.__name__}, not a dependency: write {value.__name__}(...)"
        )


def declared_entrypoints(service_cls: type) -> Iterator[tuple[str, Entrypoint]]:
    """Yield method name and template of each entrypoint in a service, in order of declaration.

    Raises ConfigurationError for a method that no worker could run.
    """
    for name, method in class_attributes(service_cls).items():
        for entrypoint in _entrypoints_of(method):
            check_method(f"{service_cls.__name__}.{name}", method)
            yield name, entrypoint


def check_method(label: str, method: Any) -> None:
    """Raise ConfigurationError, naming the method by `label`, when no worker could run it."""
    function = function_of(method)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{label} is an async method: entrypoints fire plain ones")
    if isinstance(method, classmethod):
        raise ConfigurationError(f"{label} is a class method: entrypoints fire plain methods")
    if isinstance(method, FunctionType) and not _has_room_for_self(method):
        raise ConfigurationError(f"{label} has no parameter for the instance: write `self`")


def _has_room_for_self(method: FunctionType) -> bool:
    try:
        inspect.signature(method).bind_partial(None)
    except TypeError:
        return False
    return True
