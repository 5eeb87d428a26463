"""What stands at the caller for services and methods elsewhere.

Nothing here knows how a call is made: proxies hand what was said to their *caller*.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isfinite
from typing import Any, Final, Protocol

from rpcnode.exceptions import ConfigurationError
from rpcnode.retries import Retry


class _Unset(Enum):
    """Its one member stands where an option was not given: None means "no limit"."""

    UNSET = "unset"


UNSET: Final = _Unset.UNSET
Timeout = float | None | _Unset


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What can be said about one call. `timeout` is in seconds, None waits without end.

    `delay` (seconds) is for casts: the broker holds the request for so long.

    `retry` says how often, and when, a call that failed is made again, if that does no harm: it
    was not run, or its service says that it may run twice. `idempotent` says the same at the
    caller: True, or the names of such methods (`method`, or `service.method`).

    Raises ConfigurationError for what is none of these.
    """

    timeout: Timeout = UNSET
    headers: Mapping[str, Any] = field(default_factory=dict)
    delay: float | None = None
    retry: Retry | None = None
    idempotent: bool | Collection[str] = False

    def __post_init__(self) -> None:
        if not (self.retry is None or isinstance(self.retry, Retry)):
            raise ConfigurationError(f"retry must be a Retry or None, not {self.retry!r}")
        if isinstance(self.idempotent, str) or not isinstance(self.idempotent, (bool, Collection)):
            raise ConfigurationError(
                f"idempotent must be True, False or names of methods, not {self.idempotent!r}"
            )
        check_timeout(self.timeout)


def check_timeout(timeout: Any) -> None:
    """Raise ConfigurationError for what is neither seconds nor None, nor left out."""
    if timeout is None or timeout is UNSET:
        return
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not (is_number and isfinite(timeout)):
        raise ConfigurationError(f"timeout must be seconds or None, not {timeout!r}")


class Caller(Protocol):
    """Makes calls on behalf of whoever holds a proxy."""

    def call(self, method: "MethodProxy", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call, wait, and return the result or raise the error."""

    def call_async(
        self, method: "MethodProxy", args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "RpcReply":
        """Call, and return what the result can be had from."""

    def cast(self, method: "MethodProxy", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call without wanting a reply; return when the broker has the request."""


class ClusterProxy:
    """Stands for all services: `cluster.maths.add(2, 3)`, `cluster["any-service"].method()`."""

    __slots__ = ("_caller", "_options")

    def __init__(self, caller: Caller, options: CallOptions) -> None:
        self._caller = caller
        self._options = options

    def __getattr__(self, name: str) -> "ServiceProxy":
        _refuse_private(self, name)
        return self[name]

    def __getitem__(self, name: str) -> "ServiceProxy":
        return ServiceProxy(self._caller, name, self._options)

    def __repr__(self) -> str:
        return "<ClusterProxy>"


class ServiceProxy:
    """Stands for one service: `maths.add(2, 3)`, `maths["add"](2, 3)`."""

    __slots__ = ("_caller", "_options", "_service_name")

    def __init__(self, caller: Caller, service_name: str, options: CallOptions) -> None:
        self._caller = caller
        self._service_name = service_name
        self._options = options

    def __getattr__(self, name: str) -> "MethodProxy":
        _refuse_private(self, name)
        return MethodProxy(self._caller, self._service_name, name, self._options)

    def __getitem__(self, name: str) -> "MethodProxy":
        return MethodProxy(self._caller, self._service_name, name, self._options)

    def __repr__(self) -> str:
        return f"<ServiceProxy {self._service_name}>"


class MethodProxy:
    """Stands for one method of a service; call it."""

    __slots__ = ("_caller", "method_name", "options", "service_name")

    def __init__(
        self, caller: Caller, service_name: str, method_name: str, options: CallOptions
    ) -> None:
        self._caller = caller
        self.service_name = service_name
        self.method_name = method_name
        self.options = options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the method's result, or raise one typed error, within the call's timeout.

        Raises UnknownService, MethodNotFound, IncorrectSignature, MalformedRequest, TooBusy,
        RemoteError (or the registered class of the remote exception), RpcTimeout or
        ConnectionLost; UnserializableValueError or UnserializableHeader when nothing was sent.
        """
        return self._caller.call(self, args, kwargs)

    def call_async(self, *args: Any, **kwargs: Any) -> "RpcReply":
        """Send the request; `result()` of what is returned waits for the reply."""
        return self._caller.call_async(self, args, kwargs)

    def cast(self, *args: Any, **kwargs: Any) -> Any:
        """Send the request without wanting a reply; return (None) when the broker has it.

        With asyncio, as all else, return what is to be awaited.
        """
        return self._caller.cast(self, args, kwargs)

    def with_options(
        self,
        *,
        timeout: Timeout = UNSET,
        headers: Mapping[str, Any] | None = None,
        delay: float | None = None,
        retry: Retry | _Unset | None = UNSET,
        idempotent: bool | None = None,
    ) -> "MethodProxy":
        """Return this method's proxy with other options; what is not given stays."""
        options = self.options if timeout is UNSET else replace(self.options, timeout=timeout)
        if headers is not None:
            options = replace(options, headers={**options.headers, **headers})
        if delay is not None:
            options = replace(options, delay=delay)
        if retry is not UNSET:
            options = replace(options, retry=retry)
        if idempotent is not None:
            options = replace(options, idempotent=idempotent)
        return MethodProxy(self._caller, self.service_name, self.method_name, options)

    @property
    def full_name(self) -> str:
        """`service.method`, as errors name it."""
        return f"{self.service_name}.{self.method_name}"

    @property
    def is_idempotent(self) -> bool:
        """Whether the caller says that the method may run twice."""
        names = self.options.idempotent
        if isinstance(names, bool):
            return names
        return self.method_name in names or self.full_name in names

    def __repr__(self) -> str:
        return f"<MethodProxy {self.full_name}>"


class RpcReply:
    """The reply to a call that was not waited for.

    `wait(timeout)` returns the result or raises the error; `forget` is called once, when this
    is done with.
    """

    def __init__(self, wait: Callable[[Timeout], Any], forget: Callable[[], object]) -> None:
        self._wait = wait
        self._forget = forget

    def result(self, timeout: Timeout = UNSET) -> Any:
        """Return the result or raise the error; wait at most `timeout` seconds for it.

        The default is RPC_TIMEOUT; None waits without end. It may be called again, also after
        an RpcTimeout: a reply that comes later is still there.
        """
        return self._wait(timeout)

    def __del__(self) -> None:
        self._forget()


def _refuse_private(proxy: object, name: str) -> None:
    # What Python, debuggers and mocks look for must not turn into a remote method.
    if name.startswith("_"):
        raise AttributeError(f'{proxy!r} has no attribute {name!r}; write ["{name}"] to call it')
