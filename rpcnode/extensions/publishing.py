"""Publishing from a worker: the options of a message, and how it leaves."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from rpcnode.amqp.message import PERSISTENT, Outgoing
from rpcnode.context import WorkerContext
from rpcnode.exceptions import BrokerUnavailable, ConfigurationError, PublishRejected
from rpcnode.extensions.connection import Messaging
from rpcnode.proxies import UNSET, Timeout
from rpcnode.serialization import compress

logger = logging.getLogger(__name__)

# What Nameko offers and makes no difference here: every publish is confirmed, and tried again
# as long as nothing was sent and its time is not over.
_WITHOUT_EFFECT = ("use_confirms", "retry", "retry_policy")


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What can be said about a message; each has this one default.

    - `routing_key`, `headers` (merged with the context data), `mandatory` (an error when no
      queue takes the message), `priority` (0 to 255), `expiration` (seconds, then the broker
      drops it), `delivery_mode` (2 survives a restart of the broker, 1 does not);
    - `serializer` and `compression`: names; the container's serializer, and none;
    - `correlation_id`, `reply_to`, `type`, `message_id`: AMQP's properties;
    - `timeout`: seconds for connection, publish and confirm together; PUBLISH_TIMEOUT.
    - `declare`: kombu entities that are to be there.
    """

    routing_key: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    mandatory: bool = False
    priority: int | None = None
    expiration: float | None = None
    delivery_mode: int = PERSISTENT
    serializer: str | None = None
    compression: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    message_id: str | None = None
    timeout: Timeout = UNSET
    declare: tuple[Any, ...] = ()

    def but(self, **given: Any) -> Self:
        """Return these options with others; headers and `declare` are merged.

        Raises ConfigurationError for an option that does not exist.
        """
        drop_options_without_effect(given)
        for name in given:
            if name not in _NAMES:
                raise ConfigurationError(f"there is no publisher option {name!r}")
        if "headers" in given:
            given["headers"] = {**self.headers, **(given["headers"] or {})}
        if "declare" in given:
            given["declare"] = (*self.declare, *_as_tuple(given["declare"]))
        return replace(self, **given)

    def properties(self) -> dict[str, Any]:
        """Return the AMQP properties that these options set."""
        given = {name: getattr(self, name) for name in _PROPERTIES}
        properties = {name: value for name, value in given.items() if value is not None}
        if self.expiration is not None:
            properties["expiration"] = milliseconds(self.expiration)
        return properties


_NAMES = frozenset(each.name for each in fields(PublishOptions))
_PROPERTIES = ("priority", "delivery_mode", "correlation_id", "reply_to", "type", "message_id")


def drop_options_without_effect(given: dict[str, Any], *more: str) -> None:
    """Remove what Nameko's users may say and makes no difference here; each is a warning."""
    for name in (*_WITHOUT_EFFECT, *more):
        if name in given:
            logger.warning("the publisher option %r has no effect in rpcnode", name)
            del given[name]


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,)


def milliseconds(seconds: float) -> str:
    """Return a message's expiration as AMQP wants it: a text, in milliseconds, at least 1."""
    if seconds < 0:
        raise PublishRejected(f"a message cannot expire in {seconds} s")
    return str(max(1, round(seconds * 1000)))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes."""

    exchange: str
    routing_key: str


def publish(
    messaging: Messaging,
    worker_ctx: WorkerContext,
    address: Address,
    payload: Any,
    options: PublishOptions,
) -> None:
    """Publish from a worker, with its context data; return when the broker has the message.

    Raises UnserializableValueError, UnserializableHeader, PublishRejected (nothing was sent, or
    the broker refused it), BrokerUnavailable (nothing was sent in time), PublishTimeout and
    ConnectionLost (the outcome is unknown), UndeliverableMessage (mandatory, and no queue).
    """
    if not isinstance(address.routing_key, str):
        raise PublishRejected(f"a routing key must be a text, not {address.routing_key!r}")
    message = _message(messaging, address, payload, options)
    message.headers.update(messaging.headers_of(worker_ctx))
    message.headers.update(options.headers)
    timeout = messaging.publish_timeout if options.timeout is UNSET else options.timeout
    remaining = worker_ctx.remaining()
    if remaining is not None:
        timeout = remaining if timeout is None else min(timeout, remaining)
    if timeout is not None and timeout <= 0:
        raise BrokerUnavailable("there is no time left to publish, so nothing was sent")
    messaging.publisher(address.exchange).publish(message, timeout)


def _message(
    messaging: Messaging, address: Address, payload: Any, options: PublishOptions
) -> Outgoing:
    serializer = messaging.serialization.named(options.serializer)
    message = messaging.outgoing(address.exchange, address.routing_key, payload, serializer)
    message.mandatory = options.mandatory
    message.properties.update(options.properties())
    if options.compression is not None:
        message.body, kind = compress(message.body, options.compression)
        message.headers["compression"] = kind
    return message
