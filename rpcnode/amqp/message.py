"""Messages as they leave and as they arrive."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PERSISTENT = 2
TRANSIENT = 1
REDELIVERIES = "rpcnode-redeliveries"  # a header: so often earlier copies were given out again


@dataclass(slots=True)
class Outgoing:
    """A message to publish. `properties` are AMQP's basic properties without the headers."""

    exchange: str
    routing_key: str
    body: bytes
    properties: dict[str, Any]
    headers: dict[str, Any] = field(default_factory=dict)
    mandatory: bool = False

    @property
    def id(self) -> str:
        """The message id; every message has one."""
        return self.properties["message_id"]  # type: ignore[no-any-return]  # set as a str


Settlement = Callable[["Delivery", bool], None]  # whether to give it back to its queue


class Delivery:
    """A message that a consumer received, until it is acknowledged or given back.

    `properties` are AMQP's basic properties without the headers. `problem` is the error when
    the broker's frames did not tell them: then there are neither properties nor headers.
    `is_redelivery` is what the broker says of this copy of the message, see `redelivered`.
    """

    __slots__ = (
        "_settle",
        "body",
        "channel",
        "exchange",
        "headers",
        "is_redelivery",
        "is_settled",
        "problem",
        "properties",
        "queue",
        "routing_key",
        "tag",
    )

    def __init__(self, message: Any, queue: str, settle: "Settlement") -> None:
        info = message.delivery_info
        properties = message.properties
        self.headers: dict[str, Any] = properties.pop("application_headers", None) or {}
        self.problem: Exception | None = getattr(message, "problem", None)
        self.body: bytes = message.body
        self.properties: dict[str, Any] = properties
        self.tag: int = info["delivery_tag"]
        self.is_redelivery: bool = bool(info.get("redelivered"))
        self.exchange: str = info["exchange"]
        self.routing_key: str = info["routing_key"]
        self.channel = message.channel
        self.queue = queue
        self.is_settled = False
        self._settle = settle

    @property
    def id(self) -> str | None:
        """The message id, where the sender gave one."""
        return self.properties.get("message_id")

    @property
    def redelivered(self) -> bool:
        """Whether somebody may have begun with the message before: with it or an earlier copy."""
        return self.is_redelivery or REDELIVERIES in self.headers

    @property
    def published(self) -> Any:
        """When the sender says it was published, in Unix seconds; None where it does not say."""
        return self.properties.get("timestamp")

    def ack(self) -> None:
        """Tell the broker that the message is dealt with; a second settlement is ignored."""
        if not self.is_settled:
            self.is_settled = True
            self._settle(self, False)

    def requeue(self) -> None:
        """Give the message back to its queue; a second settlement is ignored."""
        if not self.is_settled:
            self.is_settled = True
            self._settle(self, True)
