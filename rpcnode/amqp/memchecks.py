"""What the embedded broker refuses, in RabbitMQ's words."""

import re
from typing import Any

from amqp.exceptions import AccessRefused, PreconditionFailed

from rpcnode.amqp.memexchange import HEADER_MATCHES, ExchangeOptions
from rpcnode.amqp.memqueue import QueueOptions

LONGEST_TIME = 315_360_000_000  # milliseconds; ten years
HIGHEST_PRIORITY = 255
_TIMES = ("x-expires", "x-message-ttl")
_NUMBERS = (*_TIMES, "x-max-length", "x-max-priority", "x-delivery-limit")
_TYPE = "x-queue-type"
_STRATEGY = "x-dead-letter-strategy"
_TEXTS = (
    *("x-dead-letter-exchange", "x-dead-letter-routing-key"),
    *("x-overflow", _STRATEGY, _TYPE),
)
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_STRATEGIES = ("at-most-once", "at-least-once")
_TYPES = ("classic", "quorum")
_FOR_CLASSIC_ONLY = ("x-max-priority",)
_FOR_QUORUM_ONLY = ("x-delivery-limit", _STRATEGY)
_UNSUPPORTED = ("x-max-length-bytes", "x-single-active-consumer")
_TYPE_NAMES = {
    str: "longstr",
    bytes: "longstr",
    bool: "bool",
    float: "double",
    list: "array",
    dict: "table",
}


def check_name(kind: str, name: str) -> None:
    """Raise AccessRefused for a name that only the broker itself may give."""
    if name.startswith("amq."):
        raise AccessRefused(
            f"ACCESS_REFUSED - {kind} name '{name}' contains reserved prefix 'amq.*'"
        )


def check_queue_options(options: QueueOptions, named: str) -> None:
    """Raise PreconditionFailed for arguments that are wrong."""
    arguments = options.arguments
    _check_reference("x-dead-letter-exchange", arguments, named)
    _check_type(options, named)
    for key, value in arguments.items():
        problem = _problem(key, value)
        if problem:
            raise _invalid(key, named, problem)
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise _invalid("x-dead-letter-routing-key", named, "routing_key_but_no_dlx_defined")


def check_same_queue_options(current: QueueOptions, new: QueueOptions, named: str) -> None:
    """Raise PreconditionFailed when a queue is there with other options."""
    check_equivalence("durable", current.durable, new.durable, named)
    check_equivalence("auto_delete", current.auto_delete, new.auto_delete, named)
    for key in (*_TEXTS, *_NUMBERS):
        _check_argument(key, _typed_arguments(current), _typed_arguments(new), named)


def check_exchange_options(options: ExchangeOptions, named: str) -> None:
    """Raise PreconditionFailed for arguments that are wrong."""
    _check_reference("alternate-exchange", options.arguments, named)


def check_same_exchange_options(current: ExchangeOptions, new: ExchangeOptions, named: str) -> None:
    """Raise PreconditionFailed when an exchange is there with other options."""
    for key in ("type", "durable", "auto_delete"):
        check_equivalence(key, getattr(current, key), getattr(new, key), named)
    _check_argument("alternate-exchange", current.arguments, new.arguments, named)


def check_equivalence(key: str, current: Any, new: Any, named: str) -> None:
    """Raise PreconditionFailed when the two values differ."""
    if type(current) is not type(new) or current != new:
        raise _inequivalent(key, f"'{_erlang(new)}'", f"'{_erlang(current)}'", named)


def check_binding_arguments(kind: str, arguments: dict[str, Any]) -> None:
    """Raise PreconditionFailed for a binding that no headers exchange understands."""
    match = arguments.get("x-match", "all")
    if kind != "headers" or match in HEADER_MATCHES:
        return
    if not isinstance(match, str):
        raise PreconditionFailed(
            f"PRECONDITION_FAILED - Invalid x-match field type {_type_of(match)} "
            f"(value {_erlang(match)}); expected longstr"
        )
    raise PreconditionFailed(
        f'PRECONDITION_FAILED - Invalid x-match field value <<"{match}">>; '
        "expected all, any, all-with-x, or any-with-x"
    )


def check_expiration(expiration: str | None) -> None:
    """Raise PreconditionFailed for an expiration that is no time."""
    if expiration is None or (expiration.isascii() and expiration.isdigit()):
        problem = _time_problem(int(expiration or 0))
    else:
        number = re.match(r"[+-]?[0-9]+", expiration)
        problem = "no_integer"
        if number is not None:
            rest = expiration[number.end() :]
            problem = f'{{leftover_string,"{rest}"}}' if rest else _time_problem(int(number[0]))
    if problem:
        raise PreconditionFailed(
            f"PRECONDITION_FAILED - invalid expiration '{expiration}': {problem}"
        )


def check_extra_keys(headers: dict[str, Any]) -> None:
    """Raise PreconditionFailed when CC or BCC is no list."""
    for name in ("CC", "BCC"):
        value = headers.get(name, [])
        if not isinstance(value, list):
            raise PreconditionFailed(
                "PRECONDITION_FAILED - invalid message: "
                f'{{unacceptable_type_in_header,"{name}",{_type_of(value)}}}'
            )


def _check_reference(key: str, arguments: dict[str, Any], named: str) -> None:
    value = arguments.get(key)
    if value is not None and not isinstance(value, str):
        raise PreconditionFailed(
            f"PRECONDITION_FAILED - invalid type '{_type_of(value)}' for arg '{key}' in {named}"
        )


def _check_type(options: QueueOptions, named: str) -> None:
    """Raise PreconditionFailed when a queue wants to be what its type cannot."""
    kind = options.arguments.get(_TYPE, "classic")
    if kind == "stream":
        raise _invalid(_TYPE, named, "the embedded broker has no streams")
    if kind not in _TYPES:
        problem = f"\"unsupported queue type '{kind}'\""
        raise _invalid(_TYPE, named, problem if isinstance(kind, str) else _problem(_TYPE, kind))
    is_quorum = kind == "quorum"
    for key in _FOR_CLASSIC_ONLY if is_quorum else _FOR_QUORUM_ONLY:
        if key in options.arguments:
            raise PreconditionFailed(
                f"PRECONDITION_FAILED - invalid arg '{key}' for {named} "
                f"of queue type rabbit_{kind}_queue"
            )
    wrong = {
        "exclusive-owner": options.exclusive,
        "auto-delete": options.auto_delete,
        "non-durable": not options.durable,
    }
    for name, is_wrong in wrong.items():
        if is_quorum and is_wrong:
            raise PreconditionFailed(f"PRECONDITION_FAILED - invalid property '{name}' for {named}")


def _typed_arguments(options: QueueOptions) -> dict[str, Any]:
    """Return a queue's arguments without a type that is the usual one."""
    arguments = options.arguments
    if arguments.get(_TYPE) != "classic":
        return arguments
    return {key: value for key, value in arguments.items() if key != _TYPE}


def _check_argument(key: str, current: dict[str, Any], new: dict[str, Any], named: str) -> None:
    before, after = current.get(key), new.get(key)
    if before is not None and after is not None:
        check_equivalence(key, before, after, named)
    elif before is not after:
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
        return _number_problem(key, value)
    if key not in _TEXTS:
        return ""
    if not isinstance(value, str):
        return f"{{unacceptable_type,{_type_of(value)}}}"
    if key == "x-overflow" and value not in _OVERFLOWS:
        return "invalid_overflow"
    return "invalid_dlx_strategy" if key == _STRATEGY and value not in _STRATEGIES else ""


def _number_problem(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f'"expected integer, got {_type_of(value)}"'
    if key == "x-expires" and value == 0:
        return "{value_zero,0}"
    if key == "x-max-priority" and value > HIGHEST_PRIORITY:
        return f"{{max_value_exceeded,{value}}}"
    return _time_problem(value) if key in _TIMES or value < 0 else ""


def _time_problem(milliseconds: int) -> str:
    if milliseconds < 0:
        return f"{{value_negative,{milliseconds}}}"
    return f"{{value_too_large,{milliseconds}}}" if milliseconds > LONGEST_TIME else ""


def _typed(value: Any) -> str:
    return "none" if value is None else f"the value '{_erlang(value)}' of type '{_type_of(value)}'"


def _type_of(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "signedint" if -(2**31) <= value < 2**31 else "long"
    return _TYPE_NAMES.get(type(value), "void")


def _erlang(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
