"""Messages that AMQP cannot carry: how that shows, and which part of them is to blame."""

from struct import error as StructError
from typing import Any

import amqp
from amqp.exceptions import FrameSyntaxError
from amqp.serialization import dumps

from rpcnode.amqp.message import Outgoing
from rpcnode.exceptions import PublishRejected, RpcNodeError, UnserializableHeader

LONGEST_EXPIRATION = 315_360_000_000  # ms, ten years; RabbitMQ closes the channel for more
ENCODING_ERRORS = (
    *(FrameSyntaxError, StructError, ValueError, TypeError, ArithmeticError),
    RecursionError,  # of what is nested too deep
)
_PROPERTY_TYPES = dict(amqp.Message.PROPERTIES)


def check_expiration(value: Any) -> None:
    """Raise ValueError for an expiration that RabbitMQ would close the channel for."""
    if value is None:
        return
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal()
    if not is_number or int(value) > LONGEST_EXPIRATION:
        raise ValueError(f"the expiration {value!r} is not a number of milliseconds")


def check_size(properties: bytes, frame_max: int) -> None:
    """Raise UnserializableHeader when encoded properties do not fit into a frame."""
    largest = frame_max - 20  # the frame's own bytes; class, weight and body size
    if len(properties) > largest:
        raise UnserializableHeader(
            f"the headers take {len(properties)} bytes, more than the {largest} of a frame"
        )


def encoding_error(message: Outgoing, cause: Exception) -> RpcNodeError:
    """Return the error for a message that cannot be encoded; it names the culprit."""
    for key, value in message.headers.items():
        problem = _problem("F", {key: value})
        if problem is not None:
            return UnserializableHeader(f"the header {key!r} cannot be encoded: {problem}")
    for name, value in message.properties.items():
        problem = _problem(_PROPERTY_TYPES.get(name, "F"), value)
        if problem is not None:
            return PublishRejected(f"the property {name!r} cannot be encoded: {problem}")
    return PublishRejected(
        f"a message for exchange {message.exchange!r}, routing key {message.routing_key!r} "
        f"cannot be encoded: {cause}"
    )


def _problem(kind: str, value: Any) -> Exception | None:
    try:
        dumps(kind, [value])
    except ENCODING_ERRORS as exc:
        return exc
    return None
