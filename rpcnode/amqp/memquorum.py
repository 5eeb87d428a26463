"""A quorum queue of the embedded broker: it counts how often each message came back.

There is one node, so nothing is replicated; what a client can tell apart is as RabbitMQ has it.
"""

from collections.abc import Iterable
from typing import Any

from rpcnode.amqp.memqueue import Entry, Host, Message, Queue, QueueOptions, Timer

AT_LEAST_ONCE = "at-least-once"
RETRY_INTERVAL = 1.0  # seconds until a dead message that no queue took is offered again


class QuorumQueue(Queue):
    """Messages in order, until they came back more often than `x-delivery-limit` says.

    With the dead letter strategy `at-least-once`, a dead message that no queue takes is kept,
    and offered again.
    """

    def __init__(self, name: str, options: QueueOptions, owner: Any, host: Host) -> None:
        super().__init__(name, options, owner, host)
        self._limit: int | None = options.arguments.get("x-delivery-limit")
        self._keeps_dead = options.arguments.get("x-dead-letter-strategy") == AT_LEAST_ONCE
        self._dead: list[tuple[Message, str]] = []
        self._retry_timer: Timer | None = None

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Take entries back, each at its old place; let die what came back too often."""
        kept = []
        for entry in entries:
            entry.returns = (entry.returns or 0) + 1
            if self._limit is not None and entry.returns > self._limit:
                self._host.dead_letter(self, entry.message, "delivery_limit")
            else:
                kept.append(entry)
        super().requeue(kept)

    def dead_letter_failed(self, message: Message, reason: str) -> None:
        """Keep a dead message for the next attempt, if that is the strategy."""
        if self._keeps_dead:
            self._dead.append((message, reason))
            if self._retry_timer is None:
                self._retry_timer = self._host.call_later(RETRY_INTERVAL, self._retry)

    def close(self) -> None:
        """Drop everything: the queue is deleted."""
        super().close()
        self._dead.clear()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None

    def _retry(self) -> None:
        self._retry_timer = None
        dead, self._dead = self._dead, []
        for message, reason in dead:
            self._host.dead_letter(self, message, reason)
