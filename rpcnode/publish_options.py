"""What can be said about a message that is published, whoever publishes it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from rpcnode.amqp.message import PERSISTENT
from rpcnode.calls import milliseconds
from rpcnode.exceptions import ConfigurationError
from rpcnode.proxies import UNSET, Timeout, check_timeout

logger = logging.getLogger(__name__)

LONGEST_DELAY = 2**32 // 1000 - 1  # seconds, 49 days: a queue's time to live is 32 bits
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
    - `delay`: seconds that the broker holds the message before it routes it.
    - `after_success`: keep the message until the worker has completed, and drop it if it fails.

    Raises ConfigurationError for a delay or timeout that is none, and for options that do not go
    together.
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
    delay: float | None = None
    after_success: bool = False

    def __post_init__(self) -> None:
        check_timeout(self.timeout)
        if self.delay is not None:
            check_delay(self.delay)
            if self.mandatory or self.expiration is not None:
                raise ConfigurationError(
                    "a delayed message can be neither `mandatory` nor have an `expiration`: the "
                    "broker routes it later, and tells nobody"
                )

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


def check_delay(delay: Any) -> None:
    """Raise ConfigurationError unless `delay` is a number of seconds that a broker can wait."""
    is_number = isinstance(delay, (int, float)) and not isinstance(delay, bool)
    if not is_number or not 0 <= delay <= LONGEST_DELAY:
        raise ConfigurationError(
            f"delay must be a number of seconds from 0 to {LONGEST_DELAY}, not {delay!r}"
        )
