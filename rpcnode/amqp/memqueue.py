"""A queue of the embedded broker: messages that are ready, consumers that compete for them.

It does no I/O and knows no clock of its own: time, timers and what is to happen with dead
messages come from its host. It behaves as RabbitMQ's classic queues do; see `memquorum`.
"""

from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import merge
from typing import Any, Protocol

PRIORITY_SHIFT = 48  # a priority weighs more than any number of messages that came before


class Timer(Protocol):
    """A call that was asked for later."""

    def cancel(self) -> None:
        """Make sure that it does not happen."""


class Message:
    """What was published, shared by all queues that have it: nobody changes it.

    `properties` are AMQP's basic properties without the headers.
    """

    __slots__ = ("body", "exchange", "headers", "properties", "routing_key")

    def __init__(
        self,
        body: bytes,
        properties: dict[str, Any],
        headers: dict[str, Any] | None,
        exchange: str = "",
        routing_key: str = "",
    ) -> None:
        self.body = body
        self.properties = properties
        self.headers = headers
        self.exchange = exchange
        self.routing_key = routing_key


class Entry:
    """A message's place in one queue; `returns` counts how often it came back, if anyone does."""

    __slots__ = ("expires_at", "is_redelivered", "message", "position", "returns")

    def __init__(self, message: Message, position: int, expires_at: float | None) -> None:
        self.message = message
        self.position = position
        self.expires_at = expires_at
        self.is_redelivered = False
        self.returns: int | None = None


class Host(Protocol):
    """What a queue needs from its broker."""

    def now(self) -> float:
        """Return a monotonic time in seconds."""

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call `function` after that time."""

    def dead_letter(self, queue: "Queue", message: Message, reason: str) -> None:
        """Publish a message that died in `queue` where its queue says, if it says.

        `queue.dead_letter_failed` is called when no queue took it.
        """

    def remove_queue(self, queue: "Queue") -> None:
        """Forget a queue that nobody uses any more."""


class Consumer:
    """One consumer of one queue; `prefetch` 0 is unlimited.

    `pending` counts what was given to it and is not settled. `post(consumer, entry)` must
    not run the consumer's code.
    """

    __slots__ = (
        "is_exclusive",
        "is_no_ack",
        "pending",
        "post",
        "prefetch",
        "queue",
        "session",
        "tag",
    )

    def __init__(self, tag: str, queue: "Queue", session: Any, prefetch: int) -> None:
        self.tag = tag
        self.queue = queue
        self.session = session
        self.prefetch = prefetch
        self.pending = 0
        self.is_no_ack = False
        self.is_exclusive = False
        self.post: Callable[[Consumer, Entry], object] = session.peer.post

    def has_room(self) -> bool:
        """Return whether its prefetch allows another message."""
        return not self.prefetch or self.pending < self.prefetch or self.is_no_ack

    def take(self, entry: Entry) -> None:
        """Receive an entry, which then is in no queue."""
        self.pending += 1
        self.post(self, entry)


@dataclass(slots=True)
class QueueOptions:
    """How a queue was declared."""

    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)


class Queue:
    """Messages in order, and the consumers that take turns. `owner` is set if exclusive."""

    def __init__(self, name: str, options: QueueOptions, owner: Any, host: Host) -> None:
        arguments = options.arguments
        self.name = name
        self.options = options
        self.owner = owner
        self.ready: deque[Entry] = deque()
        self.consumers: deque[Consumer] = deque()
        self.is_deleted = False
        self.dead_letter_exchange: str | None = arguments.get("x-dead-letter-exchange")
        self.dead_letter_key: str | None = arguments.get("x-dead-letter-routing-key")
        self._host = host
        self._last = 0
        self._ttl: int | None = arguments.get("x-message-ttl")
        self._max_length: int | None = arguments.get("x-max-length")
        self._max_priority: int = arguments.get("x-max-priority", 0)
        self._overflow: str = arguments.get("x-overflow", "drop-head")
        self._lease = arguments.get("x-expires", 0) / 1000
        self._expiry_at = 0.0
        self._expiry_timer: Timer | None = None
        self._used_at = 0.0
        self._lease_timer: Timer | None = None

    def put(self, message: Message) -> bool:
        """Take a message; return False when the queue is full and refuses it."""
        if self._refuses():
            if self._overflow == "reject-publish-dlx":
                self._host.dead_letter(self, message, "maxlen")
            return False
        self._last += 1
        position = self._last
        if self._max_priority:
            priority = min(message.properties.get("priority") or 0, self._max_priority)
            position -= priority << PRIORITY_SHIFT
        entry = Entry(message, position, self._expires_at(message))
        consumer = None if self.ready else self._next_consumer()
        if consumer is not None:
            consumer.take(entry)
            return True
        self._insert(entry)
        self.dispatch()
        self._drop_overflow()
        return True

    def dispatch(self) -> None:
        """Give what is ready to consumers with room; let die what expired at the head."""
        ready = self.ready
        while ready:
            if ready[0].expires_at is not None and self._drop_expired():
                continue
            consumer = self._next_consumer()
            if consumer is None:
                break
            consumer.take(ready.popleft())
        if ready and ready[0].expires_at is not None:
            self._arm_expiry(ready[0].expires_at)

    def get(self) -> Entry | None:
        """Take the first message that is alive; None if there is none."""
        self.touch()
        self.dispatch()
        if not self.ready:
            return None
        entry = self.ready.popleft()
        self.dispatch()  # the next one may be too old
        return entry

    def requeue(self, entries: Iterable[Entry]) -> None:
        """Take entries back, each at its old place."""
        if self.is_deleted:
            return
        returned = sorted(entries, key=_position)
        for entry in returned:
            entry.is_redelivered = True
        if len(returned) == 1:
            self._insert(returned[0])
        elif returned:
            self._merge(returned)
        if self._overflow == "drop-head":
            self._drop_overflow()
        self.dispatch()

    def dead_letter_failed(self, message: Message, reason: str) -> None:
        """Lose a dead message that no queue took, as classic queues do."""

    def purge(self) -> int:
        """Drop what is ready; return how much that was."""
        count = len(self.ready)
        self.ready.clear()
        return count

    def add_consumer(self, consumer: Consumer) -> None:
        """Let another consumer compete."""
        self.consumers.append(consumer)
        self.dispatch()

    def remove_consumer(self, consumer: Consumer) -> None:
        """Forget a consumer; with the last one an auto-delete queue goes."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        self.touch()
        if self.options.auto_delete and not self.consumers:
            self._host.remove_queue(self)

    def touch(self) -> None:
        """Note that somebody uses the queue: its lease begins anew."""
        if self._lease:
            self._used_at = self._host.now()
            if self._lease_timer is None and not self.consumers and not self.is_deleted:
                self._lease_timer = self._host.call_later(self._lease, self._end_lease)

    def close(self) -> None:
        """Drop everything: the queue is deleted."""
        self.is_deleted = True
        self.ready.clear()
        self.consumers.clear()
        for timer in (self._expiry_timer, self._lease_timer):
            if timer is not None:
                timer.cancel()
        self._expiry_timer = self._lease_timer = None

    def _refuses(self) -> bool:
        return (
            self._max_length is not None
            and self._overflow != "drop-head"
            and len(self.ready) >= self._max_length
        )

    def _expires_at(self, message: Message) -> float | None:
        expiration = message.properties.get("expiration")
        if expiration is None and self._ttl is None:
            return None
        milliseconds = [] if self._ttl is None else [self._ttl]
        if expiration is not None:
            milliseconds.append(int(expiration))
        return self._host.now() + min(milliseconds) / 1000

    def _next_consumer(self) -> Consumer | None:
        consumers = self.consumers
        for _ in range(len(consumers)):
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.has_room():
                return consumer
        return None

    def _insert(self, entry: Entry) -> None:
        ready = self.ready
        if not ready or entry.position > ready[-1].position:
            ready.append(entry)
        else:
            ready.insert(bisect(ready, entry.position, key=_position), entry)

    def _merge(self, entries: list[Entry]) -> None:
        ready, last = self.ready, entries[-1].position
        before: list[Entry] = []
        while ready and ready[0].position < last:
            before.append(ready.popleft())
        ready.extendleft(reversed(list(merge(before, entries, key=_position))))

    def _drop_expired(self) -> bool:
        """Let the messages at the head die that are too old; return whether any was."""
        ready, now = self.ready, self._host.now()
        dropped = False
        while ready:
            expires_at = ready[0].expires_at
            if expires_at is None or expires_at > now:
                break
            self._host.dead_letter(self, ready.popleft().message, "expired")
            dropped = True
        return dropped

    def _drop_overflow(self) -> None:
        while self._max_length is not None and len(self.ready) > self._max_length:
            self._host.dead_letter(self, self.ready.popleft().message, "maxlen")
        if self.ready and self.ready[0].expires_at is not None:
            self._arm_expiry(self.ready[0].expires_at)

    def _arm_expiry(self, expires_at: float) -> None:
        # A timer that fires too early looks again, so only a later one must be replaced.
        if self._expiry_timer is not None:
            if self._expiry_at <= expires_at:
                return
            self._expiry_timer.cancel()
        self._expiry_at = expires_at
        seconds = max(0.0, expires_at - self._host.now())
        self._expiry_timer = self._host.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expiry_timer = None
        self.dispatch()

    def _end_lease(self) -> None:
        self._lease_timer = None
        if self.consumers or self.is_deleted:
            return
        left = self._used_at + self._lease - self._host.now()
        if left <= 0:
            self._host.remove_queue(self)
        else:
            self._lease_timer = self._host.call_later(left, self._end_lease)


def _position(entry: Entry) -> int:
    return entry.position
