"""Every exception of rpcnode, and the error objects in which they travel.

::

    RpcNodeError
    ├── ConfigurationError              what was written cannot work: exit code 2
    │   ├── CommandError                a wrong command line
    │   ├── ExtensionNotFound           (also an AttributeError)
    │   ├── EventHandlerConfigurationError
    │   └── UnsupportedByTransport      the broker in use cannot do what a service needs
    ├── BrokerError
    │   ├── BrokerRefused               wrong login, vhost, certificate, arguments: exit code 3
    │   ├── ClientNotRunning            a standalone client that is not started, or stopped
    │   ├── BrokerUnavailable           nothing was sent: no connection within the time given
    │   ├── ConnectionLost              something was sent, its outcome is unknown
    │   ├── PublishTimeout              no confirm within the time given
    │   ├── PublishRejected             the broker refused the message
    │   ├── UndeliverableMessage        a mandatory message that no queue takes
    │   └── QueueNotFound               a queue that was named is not there
    ├── SerializationError
    │   ├── UnserializableValueError    a value that cannot be sent
    │   ├── UnserializableHeader        a header that cannot be sent
    │   └── UndecodableMessage          a message that cannot be read
    ├── RpcError                        what a caller may see
    │   ├── UnknownService
    │   ├── RpcTimeout
    │   ├── TooBusy
    │   ├── OutcomeUnknown              it may have run, and is not run again
    │   ├── RedeliveredTooOften         it seems to end each process that runs it
    │   ├── RemoteError
    │   └── BadRequest
    │       ├── MalformedRequest
    │       ├── MethodNotFound
    │       ├── IncorrectSignature
    │       └── ConnectionNotFound
    ├── HandlerDecision                 what a handler of messages wants, not what went wrong
    │   ├── RetryLater
    │   └── Reject
    ├── ContainerBeingKilled
    └── ReplyQueueExpiredWithPendingReplies

    DeadlineExceeded (BaseException)    thrown into a method that overran its deadline
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self, TypeVar

LONGEST_DELAY = 30 * 86_400  # seconds; a queue's time to live ends at 49 days
LONGEST_REPR = 200  # characters of a value that an error shows

ExceptionType = TypeVar("ExceptionType", bound=type[BaseException])


class RpcNodeError(Exception):
    """The base of all errors that rpcnode raises."""


class ConfigurationError(RpcNodeError):
    """Raised when a service, an extension or the configuration cannot work as written."""


class CommandError(ConfigurationError):
    """Raised when a command line cannot be carried out."""


class ExtensionNotFound(ConfigurationError, AttributeError):
    """Raised when a name does not belong to an extension of the service."""


class EventHandlerConfigurationError(ConfigurationError):
    """Raised when the options of an event handler contradict each other."""


class UnsupportedByTransport(ConfigurationError):
    """Raised at start when an entrypoint needs what its broker's transport cannot do."""


class BrokerError(RpcNodeError):
    """The base of errors about the message broker."""


class BrokerRefused(BrokerError):
    """Raised when what was asked will never work: login, vhost, certificate, a declaration."""


class BrokerUnavailable(BrokerError):
    """Raised when no connection was there in time; nothing was sent."""


class ClientNotRunning(BrokerError):
    """Raised when a standalone client is not started, or stopped; nothing was sent."""


class ConnectionLost(BrokerError):
    """Raised when the connection broke after something was sent: its outcome is unknown."""


class PublishTimeout(BrokerError):
    """Raised when the broker did not confirm a message in time: its outcome is unknown."""


class PublishRejected(BrokerError):
    """Raised when the broker refused a message, for example because a queue is full."""


class UndeliverableMessage(BrokerError):
    """Raised when a mandatory message was returned because no queue takes it."""


class QueueNotFound(BrokerError):
    """Raised when a queue that somebody named is not there."""


class SerializationError(RpcNodeError):
    """The base of errors about encoding and decoding."""


class UnserializableValueError(SerializationError):
    """Raised when a value cannot be encoded.

    `repr_value` is the value's `repr`, its beginning if that is long, or says that it has none.
    """

    def __init__(self, value: object) -> None:
        try:
            self.repr_value = _cut(repr(value))
        except Exception:  # a broken __repr__ must not hide the real error
            self.repr_value = f"[__repr__ of {type(value).__name__} failed]"
        super().__init__(self.repr_value)

    @classmethod
    def from_repr(cls, repr_value: str) -> Self:
        """Return the error for a value that is known by its `repr` alone."""
        error = cls(None)
        error.repr_value = repr_value
        error.args = (repr_value,)
        return error

    def __str__(self) -> str:
        return f"Unserializable value: `{self.repr_value}`"


def _cut(text: str) -> str:
    # Logs and callers get it: a whole payload is neither readable nor meant for them.
    return text if len(text) <= LONGEST_REPR else f"{text[:LONGEST_REPR]}..."


class UnserializableHeader(SerializationError):
    """Raised when a header's value cannot be encoded, or the headers do not fit into a frame."""


class UndecodableMessage(SerializationError):
    """Raised when a message's content type is not accepted or its body does not parse."""


class RpcError(RpcNodeError):
    """The base of what a remote call raises at its caller.

    `called` is the `service.method` that was called, where the error came from there.
    `is_retryable` says that the same call may be made again, without harm and with some hope: it
    was not run, or its method is declared idempotent.
    """

    called: str | None = None
    is_retryable: bool = False

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} (calling {self.called})" if self.called else text


class UnknownService(RpcError):
    """Raised when a call's service has no queue: nobody ever hosted it."""

    def __init__(self, service_name: str, method_name: str | None = None) -> None:
        self._service_name = service_name
        self.method_name = method_name
        super().__init__(service_name, *([] if method_name is None else [method_name]))

    def __str__(self) -> str:
        text = f"Unknown service `{self._service_name}`"
        if self.method_name:
            text = f"{text} (calling {self._service_name}.{self.method_name})"
        return f"{text} (calling {self.called})" if self.called else text


class RpcTimeout(RpcError):
    """Raised when no reply came within a call's timeout."""


class TooBusy(RpcError):
    """Raised when the service has no room for the call now; it was not run."""


class OutcomeUnknown(RpcError):
    """Raised when a call was delivered before and may have run, and is not run now.

    Its method must not run twice, `@rpc(on_redelivery="refuse")`, or has no room for it.
    """


class RedeliveredTooOften(RpcError):
    """Raised for a message that was given out so often that it seems to end who deals with it."""


class RemoteError(RpcError):
    """Raised when a remote method failed with an exception that is not registered here.

    `exc_type` is the name of the remote class, `value` the text of the exception; `exc_path`
    and `exc_args` are what came with it, so that it can be passed on as it is.
    """

    def __init__(
        self,
        exc_type: str | None = None,
        value: Any = "",
        *,
        exc_path: str = "",
        exc_args: list[Any] | None = None,
        called: str | None = None,
    ) -> None:
        self.exc_type = exc_type
        self.value = value
        self.exc_path = exc_path
        self.exc_args = [] if exc_args is None else exc_args
        self.called = called
        super().__init__(f"{exc_type} {value}")


class BadRequest(RpcError):
    """The base of errors that are the caller's fault."""


class MalformedRequest(BadRequest):
    """Raised when a request lacks `args` or `kwargs`, or cannot be read."""


class MethodNotFound(BadRequest):
    """Raised when the service has no such method."""


class IncorrectSignature(BadRequest):
    """Raised when the arguments do not fit the method."""


class ConnectionNotFound(BadRequest):
    """Raised when a WebSocket is not (or no longer) connected."""


class HandlerDecision(RpcNodeError):
    """The base of what a handler raises to say what becomes of its message."""


class RetryLater(HandlerDecision):
    """Raised by a handler to have its message delivered again, `delay` seconds later.

    Without a delay the handler's policy says when. It is an attempt like others: the last one
    ends as any failure does. Raises ValueError for a delay that is no number of seconds.
    """

    def __init__(self, delay: float | None = None, reason: str = "") -> None:
        is_number = isinstance(delay, (int, float)) and not isinstance(delay, bool)
        if delay is not None and not (is_number and 0 <= delay <= LONGEST_DELAY):
            raise ValueError(
                f"RetryLater: delay must be seconds from 0 to {LONGEST_DELAY}, not {delay!r}"
            )
        self.delay = delay
        self.reason = reason
        super().__init__(delay, reason)

    def __str__(self) -> str:
        when = "later" if self.delay is None else f"in {self.delay} s"
        return f"again {when}: {self.reason}" if self.reason else f"again {when}"


class Reject(HandlerDecision):
    """Raised by a handler that will never be able to deal with its message: it is dead at once."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason)


class ContainerBeingKilled(RpcNodeError):
    """Raised when a worker is asked of a container that is being killed."""


class ReplyQueueExpiredWithPendingReplies(RpcNodeError):
    """Raised when the broker dropped the reply queue while calls were waiting."""


class DeadlineExceeded(BaseException):
    """Thrown into a method that runs past its deadline.

    It is no `Exception`, so that neither `except Exception` nor a connection pool swallows it.
    """


def get_module_path(exc_type: type[BaseException]) -> str:
    """Return `module.Class`, the identity of an exception class on the wire."""
    module = inspect.getmodule(exc_type)
    name = exc_type.__module__ if module is None else module.__name__
    return f"{name}.{exc_type.__name__}"


# The registry of remote exceptions: what may be rebuilt from an error object. It is module
# state because Nameko's users register classes with a decorator, at import.
registry: dict[str, Callable[..., BaseException]] = {}


def deserialize_to_instance(exc_type: ExceptionType) -> ExceptionType:
    """Register an exception class, so that a remote one arrives as itself (a decorator)."""
    registry[get_module_path(exc_type)] = exc_type
    return exc_type


_OWN_MODULE = "rpcnode.exceptions."
_WIRE_MODULE = "nameko.exceptions."
_OURS: tuple[type[RpcNodeError], ...] = (
    MalformedRequest,
    MethodNotFound,
    IncorrectSignature,
    UnknownService,
    TooBusy,
    OutcomeUnknown,
    RedeliveredTooOften,
    RpcTimeout,
)
for _exc_type in _OURS:
    registry[f"{_WIRE_MODULE}{_exc_type.__name__}"] = _exc_type
    registry[f"{_OWN_MODULE}{_exc_type.__name__}"] = _exc_type
for _module in (_WIRE_MODULE, _OWN_MODULE):
    registry[f"{_module}UnserializableValueError"] = UnserializableValueError.from_repr


def serialize(exc: BaseException) -> dict[str, Any]:
    """Return the error object of an exception."""
    if isinstance(exc, RemoteError):
        # It comes from further away: its first class matters, not the hop.
        return _error_object(exc.exc_type or "", exc.exc_path, exc.exc_args, exc.value)
    if isinstance(exc, DeadlineExceeded):
        exc = RpcTimeout(*exc.args)
    path = get_module_path(type(exc))
    if path.startswith(_OWN_MODULE):
        path = _WIRE_MODULE + path.removeprefix(_OWN_MODULE)
    return _error_object(type(exc).__name__, path, list(exc.args), exc)


def _error_object(exc_type: str, exc_path: str, exc_args: list[Any], value: Any) -> dict[str, Any]:
    return {
        "exc_type": exc_type,
        "exc_path": exc_path,
        "exc_args": safe_for_serialization(exc_args),
        "value": safe_for_serialization(value),
    }


def safe_for_serialization(value: Any) -> Any:
    """Return `value` as texts, and dicts and lists of texts; what has no text says so."""
    try:
        return _as_texts(value)
    except Exception:  # whatever a user's class does: the error must arrive
        return "[__unicode__ failed]"


def _as_texts(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): safe_for_serialization(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [safe_for_serialization(each) for each in value]
    return str(value)


def deserialize(error: Any, called: str | None = None) -> BaseException:
    """Return the exception of an error object, whatever that is; `called` is the method.

    It is of its own class only if that is registered here; nothing is looked up by a name that
    came over the wire but in this registry.
    """
    if not isinstance(error, Mapping):
        return RemoteError(None, safe_for_serialization(error), called=called)
    path, args = error.get("exc_path"), _args_of(error)
    make = registry.get(path) if isinstance(path, str) else None
    exc = None if make is None else _made(make, args)
    if exc is None:
        exc_type, value = error.get("exc_type"), error.get("value", "")
        exc = RemoteError(str(exc_type), value, exc_path=str(path or ""), exc_args=args)
    if hasattr(exc, "called"):
        exc.called = called
    elif called is not None:
        exc.add_note(f"raised by {called}")
    if error.get("retryable") is True:
        with suppress(AttributeError):  # a class of the user's may have no room for it
            exc.is_retryable = True  # type: ignore[attr-defined]  # RpcError has it
    return exc


def _args_of(error: Mapping[str, Any]) -> list[Any]:
    args, value = error.get("exc_args"), error.get("value")
    if not args and error.get("exc_type") == "UnserializableValueError" and isinstance(value, str):
        # Nameko's has no arguments: the value stands in its text alone.
        return [value.removeprefix("Unserializable value: ").strip("`")]
    return args if isinstance(args, list) else []


def _made(make: Callable[..., BaseException], args: list[Any]) -> BaseException | None:
    try:
        return make(*args)
    except Exception:  # its constructor wants other arguments: RemoteError says what is known
        return None
