"""What the embedded broker refuses to declare, in RabbitMQ's words."""

from typing import Any

from amqp.exceptions import AccessRefused, PreconditionFailed

from rpcnode.amqp.memexchange import ExchangeOptions
from rpcnode.amqp.memqueue import QueueOptions

_NUMBERS = {"x-expires": 1, "x-message-ttl": 0, "x-max-length": 0, "x-max-priority": 1}
_TEXTS = ("x-dead-letter-exchange", "x-dead-letter-routing-key", "x-overflow", "x-queue-type")
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_UNSUPPORTED = ("x-max-length-bytes", "x-single-active-consumer")


def check_name(kind: str, name: str) -> None:
    """Raise AccessRefused for a name that only the broker itself may give."""
    if name.startswith("amq."):
        raise AccessRefused(
            f"ACCESS_REFUSED - {kind} name '{name}' contains reserved prefix 'amq.*'"
        )


def check_queue_options(
    options: QueueOptions, named: str, current: QueueOptions | None = None
) -> None:
    """Raise PreconditionFailed for arguments that are wrong or differ from the current ones."""
    if current is not None:
        for key in (*_NUMBERS, *_TEXTS):
            _check_argument(key, current.arguments, options.arguments, named)
        return
    arguments = options.arguments
    for key, value in arguments.items():
        problem = _problem(key, value)
        if problem:
            raise _invalid(key, named, problem)
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise _invalid("x-dead-letter-routing-key", named, "routing_key_but_no_dlx_defined")


def check_exchange_options(current: ExchangeOptions, new: ExchangeOptions, named: str) -> None:
    """Raise PreconditionFailed when an exchange is there with other options."""
    for key in ("type", "durable", "auto_delete", "internal"):
        check_equivalence(key, getattr(current, key), getattr(new, key), named)
    _check_argument("alternate-exchange", current.arguments, new.arguments, named)


def check_equivalence(key: str, current: Any, new: Any, named: str) -> None:
    """Raise PreconditionFailed when the two values differ."""
    if current != new:
        raise _inequivalent(key, f"'{_erlang(new)}'", f"'{_erlang(current)}'", named)


def _check_argument(key: str, current: dict[str, Any], new: dict[str, Any], named: str) -> None:
    before, after = current.get(key), new.get(key)
    if before == after:
        return
    if before is not None and after is not None:
        check_equivalence(key, before, after, named)
    raise _inequivalent(key, _typed(after), _typed(before), named)


def _inequivalent(key: str, received: str, current: str, named: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"PRECONDITION_FAILED - inequivalent arg '{key}' for {named}: "
        f"received {received} but current is {current}"
    )


def _invalid(key: str, named: str, problem: str) -> PreconditionFailed:
    return PreconditionFailed(f"PRECONDITION_FAILED - invalid arg '{key}' for {named}: {problem}")


def _problem(key: str, value: Any) -> str:
    if key in _UNSUPPORTED:
        return "the embedded broker does not know it"
    if key in _NUMBERS:
        return _number_problem(value, _NUMBERS[key])
    if key in _TEXTS and not isinstance(value, str):
        return f"{{unacceptable_type,{_type_of(value)}}}"
    if key == "x-overflow" and value not in _OVERFLOWS:
        return "invalid_overflow"
    if key == "x-queue-type" and value != "classic":
        return "the embedded broker has classic queues only"
    return ""


def _number_problem(value: Any, smallest: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{{unacceptable_type,{_type_of(value)}}}"
    if value < 0:
        return f"{{value_negative,{value}}}"
    return "" if value >= smallest else "{value_zero,0}"


def _typed(value: Any) -> str:
    return "none" if value is None else f"the value '{_erlang(value)}' of type '{_type_of(value)}'"


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "signedint" if abs(value) <= 0x7FFFFFFF else "long"
    return {str: "longstr", bytes: "longstr", float: "double", list: "array", dict: "table"}.get(
        type(value), "void"
    )


def _erlang(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
