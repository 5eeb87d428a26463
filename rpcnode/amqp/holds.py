"""Hold queues as the broker describes them: which ones are ours, and what waits there for what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rpcnode.amqp import naming
from rpcnode.amqp.entities import CLASSIC


@dataclass(frozen=True, slots=True)
class HoldQueue:
    """A queue where messages wait.

    They go on to the queue `owner`, for another attempt, or with the routing key that they have
    to the exchange `target`, for a first one. The other of the two is None.
    """

    name: str
    milliseconds: int
    queue_type: str
    owner: str | None = None
    target: str | None = None
    messages: int = 0  # as the broker's statistics know

    @classmethod
    def from_description(cls, queue: Mapping[str, Any]) -> Self | None:
        """Return the hold queue that the management API describes; None for any other queue.

        Its arguments say what it is for: names of queues and exchanges may look like each other.
        """
        arguments = queue.get("arguments") or {}
        exchange = arguments.get("x-dead-letter-exchange")
        key = arguments.get("x-dead-letter-routing-key")
        milliseconds = arguments.get("x-message-ttl")
        queue_type = arguments.get("x-queue-type", CLASSIC)
        name, messages = queue.get("name"), queue.get("messages", 0)
        if not isinstance(exchange, str) or not isinstance(milliseconds, int):
            return None
        if exchange == "" and isinstance(key, str) and isinstance(queue_type, str):
            if name == naming.hold_queue(key, milliseconds, queue_type):
                return cls(name, milliseconds, queue_type, owner=key, messages=messages)
        elif name == naming.delay_queue(exchange, milliseconds):
            return cls(name, milliseconds, str(queue_type), target=exchange, messages=messages)
        return None

    @property
    def exchange(self) -> str | None:
        """The exchange through which messages come here; None for the default exchange."""
        if self.target is None:
            return None
        return naming.delay_exchange(self.target, self.milliseconds)
