"""The container's connection to its broker, and what extensions do with it."""

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from rpcnode.amqp.consumer import Consumer, abandon, declare, declare_each, queue_exists
from rpcnode.amqp.entities import QUORUM, dead_queue, dead_queue_of
from rpcnode.amqp.message import PERSISTENT, Delivery, Outgoing
from rpcnode.amqp.outbox import Outbox
from rpcnode.amqp.publisher import Publisher
from rpcnode.amqp.settings import settings_from
from rpcnode.amqp.sharing import SharedConnection
from rpcnode.concurrency import spawn
from rpcnode.context import (
    WorkerContext,
    context_from_headers,
    headers_from_context,
    new_call_id,
)
from rpcnode.exceptions import BrokerError, UndecodableMessage, UnsupportedByTransport
from rpcnode.extensions.base import SharedExtension
from rpcnode.extensions.copies import Copies
from rpcnode.extensions.crashguard import CrashGuard
from rpcnode.extensions.deadletters import DeadLetters
from rpcnode.extensions.delays import Delays
from rpcnode.extensions.intake import Intake
from rpcnode.serialization import Serialization, Serializer

logger = logging.getLogger(__name__)

RPC = "requests and replies"  # publishers are known by what they are for
CONFIRM_GRACE = 3.0  # seconds that a stopping container waits for the last confirms


class Messaging(SharedExtension):
    """The one way of a container's extensions to the broker; the runner's containers share it.

    - `serialization`: how payloads become bytes.
    - `intake`: the way of deliveries to lanes; `dead_letters`: where failed ones end; `copies`:
      how they get there, and wherever else copies of deliveries go.
    - `outbox`: publishes replies until they are confirmed.
    - `delays`: has the broker hold messages before it routes them.
    """

    def setup(self) -> None:
        """Connect, however long that takes; BrokerRefused when the broker never lets us in."""
        config = self.container.config
        self.settings = settings_from(config)
        self.serialization = Serialization.from_config(config)
        self.publish_timeout: float = config["PUBLISH_TIMEOUT"]
        self.queue_type: str = config["QUEUE_TYPE"]
        if self.queue_type == QUORUM:
            self.require(f"QUEUE_TYPE: {QUORUM}", "dead_lettering")
        self._prefix: str = config["HEADER_PREFIX"]
        self._consumers: list[Consumer] = []
        self._publishers: dict[Hashable, Publisher] = {}
        self._declared: dict[tuple[type, str], Any] = {}
        self._resource = ("broker", self.settings.uri)
        self.connection: SharedConnection = self.container.resources.acquire(
            self._resource, lambda: SharedConnection(self.settings)
        )
        self._is_acquired = True
        self.outbox = Outbox(self.publisher(RPC), self.connection.publishing)
        self.delays = Delays(self)
        self.copies = Copies(self)
        self.crash_guard = CrashGuard(
            Outbox(self.publisher("copies"), self.connection.publishing),
            config["CRASH_LIMIT"],
            self.publish_timeout,
        )
        self.intake = Intake(config["MAX_WAIT"], self.crash_guard)
        self.dead_letters = DeadLetters(self)
        self.connection.consuming.on_connected.append(self._declare_again)
        self.container.health_checks.append(self._problems)
        self.connection.open()

    _is_acquired = False

    def stop(self) -> None:
        """Wait for the last confirms, close our channels, and let go of the connection."""
        self.copies.stop(CONFIRM_GRACE)
        self.crash_guard.stop(CONFIRM_GRACE)
        self.outbox.wait_idle(CONFIRM_GRACE)
        self._close()

    def kill(self) -> None:
        """Let go of everything, without waiting."""
        spawn(self._close)

    def _problems(self) -> list[str]:
        """Return what is wrong between us and the broker."""
        consuming, publishing = self.connection.consuming, self.connection.publishing
        problems = [] if consuming.is_connected else ["no connection to the broker"]
        if publishing.is_blocked:
            problems.append("the broker takes no messages")
        elif publishing.generation and not publishing.is_connected:
            problems.append("no connection to publish on")
        missing = [each.queue_name for each in self._consumers if each.is_missing]
        problems += [f"queue {name} is not consumed" for name in missing]
        return problems + [f"dead queue {name} is full" for name in sorted(self.copies.full)]

    def _close(self) -> None:
        if not self._is_acquired:
            return
        self._is_acquired = False
        self.connection.consuming.on_connected.remove(self._declare_again)
        # Publishers first: a delivery whose reply is not confirmed goes back to its queue then.
        # The guard before them: what it copied now would be there twice.
        self.crash_guard.close()
        self.outbox.close()
        for publisher in self._publishers.values():
            publisher.close()
        for consumer in self._consumers:
            consumer.close()
        self.container.resources.release(self._resource)

    def require(self, label: str, *capabilities: str) -> None:
        """Raise UnsupportedByTransport when the transport lacks what `label` needs."""
        missing = self.settings.capabilities.missing(*capabilities)
        if missing:
            raise UnsupportedByTransport(
                f"{label} needs {', '.join(missing)}, which the transport of "
                f"{self.settings.safe_uri} does not have; amqp:// and memory:// do"
            )

    def consume(
        self, make_queue: Callable[[], Any], handler: Callable[[Delivery], object], **options: Any
    ) -> Consumer:
        """Return a consumer that is closed with this; see `amqp.consumer.Consumer`."""
        consumer = Consumer(
            self.connection.consuming,
            make_queue,
            handler,
            self.container.observers,
            prepare=self._prepare,
            **options,
        )
        self._consumers.append(consumer)
        return consumer

    def publisher(self, purpose: Hashable) -> Publisher:
        """Return the publisher for a purpose, with a channel of its own: the same one each time.

        One bad publish closes its channel and fails all neighbours on it, so that purposes
        that have nothing to do with each other should not share one.
        """
        publisher = self._publishers.get(purpose)
        if publisher is None:
            publisher = Publisher(
                self.connection.publishing, self.container.observers, self._declared.values
            )
            self._publishers[purpose] = publisher
        return publisher

    def send(self, message: Outgoing, timeout: float | None, delay: float | None = None) -> None:
        """Publish a message, if need be `delay` seconds later; see `Publisher.publish`."""
        if delay:
            self.delays.publish(message, delay, timeout)
        else:
            self.publisher(message.exchange).publish(message, timeout)

    def declare(self, *entities: Any) -> None:
        """Declare exchanges and queues, now and again on every later connection.

        Raises BrokerRefused when one exists with other arguments.
        """
        new = [each for each in entities if each.name and _key(each) not in self._declared]
        if new:
            self.declare_once(*new)
            self._declared.update({_key(each): each for each in new})

    def declare_once(self, *entities: Any, timeout: float | None = None) -> None:
        """Declare exchanges and queues on a channel that is thrown away."""
        channel = self.connection.consuming.channel(timeout)
        try:
            declare(channel, *entities)
        finally:
            abandon(channel)

    def has_queue(self, name: str, timeout: float | None = None) -> bool:
        """Return whether the broker has a queue of that name, whatever its arguments are."""
        return queue_exists(self.connection.consuming, name, timeout)

    def ensure_queue(self, queue: Any, timeout: float | None = None) -> None:
        """Have a queue made, unless there is one of its name, whatever its arguments are."""
        if not self.has_queue(queue.name, timeout):
            self.declare_once(queue, timeout=timeout)

    def ensure_dead_queue(self, name: str, timeout: float | None = None) -> None:
        """Have a dead queue made, unless there is one: that is used as it is.

        Its limit, or its type, may have been another one once.
        """
        limit: int = self.container.config["DEAD_MAX_LENGTH"]
        self.ensure_queue(dead_queue(name, limit, self.queue_type), timeout)

    def outgoing(
        self, exchange: str, routing_key: str, payload: Any, serializer: Serializer | None = None
    ) -> Outgoing:
        """Return a persistent message for `payload`; raise UnserializableValueError."""
        serializer = serializer or self.serialization.default
        return self.outgoing_body(exchange, routing_key, serializer.encode(payload), serializer)

    def outgoing_body(
        self, exchange: str, routing_key: str, body: bytes, serializer: Serializer
    ) -> Outgoing:
        """Return a persistent message for a payload that is encoded already."""
        properties = {
            "content_type": serializer.content_type,
            "content_encoding": serializer.content_encoding,
            "delivery_mode": PERSISTENT,
            "message_id": new_call_id(),  # all the same, it is unique
            "timestamp": int(time.time()),
            "app_id": self.container.service_name,
        }
        return Outgoing(exchange, routing_key, body, properties)

    def payload_of(self, delivery: Delivery) -> Any:
        """Return what a message says; raise UndecodableMessage when it cannot be read."""
        if delivery.problem is not None:
            raise UndecodableMessage(f"the properties cannot be read: {delivery.problem}")
        return self.serialization.decode(delivery.body, delivery.properties, delivery.headers)

    def headers_of(self, worker_ctx: WorkerContext) -> dict[str, Any]:
        """Return the context data of a worker as headers."""
        return headers_from_context(worker_ctx.data, self._prefix)

    def context_of(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the context data in the headers of a message."""
        return context_from_headers(headers, self._prefix)

    def _prepare(self, queue: Any) -> None:
        name = dead_queue_of(queue)
        if name is not None:
            self.ensure_dead_queue(name, timeout=0)

    def _declare_again(self) -> None:
        if self._declared:
            spawn(self._declare_all)

    def _declare_all(self) -> None:
        # Publishers do so as well, before they publish again: they have a connection of their
        # own. This is for what others publish meanwhile.
        try:
            declare_each(self.connection.consuming, list(self._declared.values()))
        except BrokerError as exc:
            logger.debug("declaring on the new connection: %s", exc)


def _key(entity: Any) -> tuple[type, str]:
    return type(entity), entity.name
