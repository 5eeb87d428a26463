"""The embedded broker as a pure state machine: exchanges, queues, bindings, dead letters.

Time and timers are given to it; what consumers receive goes to their peers' inboxes. It
refuses what RabbitMQ refuses, with RabbitMQ's texts.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import (
    AccessRefused,
    ChannelError,
    InvalidCommand,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)

from rpcnode.amqp.memchecks import (
    check_binding_arguments,
    check_exchange_options,
    check_expiration,
    check_extra_keys,
    check_name,
    check_queue_options,
    check_same_exchange_options,
    check_same_queue_options,
)
from rpcnode.amqp.memdeath import is_cycle, record_death
from rpcnode.amqp.memexchange import EXCHANGE_TYPES, Exchange, ExchangeOptions
from rpcnode.amqp.memqueue import Message, Queue, QueueOptions, Timer
from rpcnode.amqp.memquorum import QuorumQueue
from rpcnode.amqp.memroutes import Routes
from rpcnode.amqp.outcomes import REJECTED, ROUTED, UNROUTABLE

_PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


@dataclass(frozen=True)
class Clock:
    """Monotonic seconds, Unix seconds, and a way to be called later."""

    now: Callable[[], float]
    unix_time: Callable[[], float]
    call_later: Callable[[float, Callable[[], object]], Timer]


class Broker:
    """One virtual host: its exchanges and queues, and the peers that are connected."""

    def __init__(self, clock: Clock, vhost: str = "/") -> None:
        self.vhost = vhost
        self.exchanges = {
            name: Exchange(name, ExchangeOptions(kind, durable=True))
            for name, kind in _PREDECLARED.items()
        }
        self.queues: dict[str, Queue] = {}
        self.now = clock.now
        self.call_later = clock.call_later
        self._unix_time = clock.unix_time
        self._routes = Routes(self.exchanges, self.queues)

    def publish(self, message: Message) -> str:
        """Route a message; return ROUTED, UNROUTABLE or REJECTED (a queue was full)."""
        exchange = self.exchange(message.exchange)
        check_expiration(message.properties.get("expiration"))
        if message.headers:
            check_extra_keys(message.headers)
        queues = self._routes.find(exchange, message)
        if not queues:
            return UNROUTABLE
        is_taken = True
        for queue in queues:
            is_taken = queue.put(message) and is_taken
        return ROUTED if is_taken else REJECTED

    def declare_exchange(self, name: str, options: ExchangeOptions, *, passive: bool) -> None:
        """Make an exchange, or check that it is there."""
        if passive:
            self.exchange(name)
            return
        self._check_not_default(name)
        if options.type not in EXCHANGE_TYPES:
            raise InvalidCommand(f"COMMAND_INVALID - unknown exchange type '{options.type}'")
        existing = self.exchanges.get(name)
        if existing is not None:
            check_same_exchange_options(existing.options, options, self._named("exchange", name))
            return
        check_name("exchange", name)
        check_exchange_options(options, self._named("exchange", name))
        self.exchanges[name] = Exchange(name, options)
        self._routes.clear()

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Remove an exchange and its bindings; a missing one is no error."""
        self._check_not_default(name)
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if name in _PREDECLARED:
            raise AccessRefused(
                f"ACCESS_REFUSED - deletion of system {self._named('exchange', name)} not allowed"
            )
        if if_unused and exchange.bindings:
            raise PreconditionFailed(
                f"PRECONDITION_FAILED - {self._named('exchange', name)} in use"
            )
        self._remove_exchange(exchange)

    def declare_queue(self, name: str, options: QueueOptions, peer: Any, *, passive: bool) -> Queue:
        """Return the queue, made if it was not there (unless `passive`)."""
        if passive:
            queue = self.queue(name, peer)
        elif name in self.queues:
            check_name("queue", name)
            queue = self.queue(name, peer)
            self._check_redeclaration(queue, options)
        else:
            queue = self._make_queue(name, options, peer)
        queue.touch()
        queue.dispatch()
        return queue

    def delete_queue(self, name: str, peer: Any, *, if_unused: bool, if_empty: bool) -> int:
        """Remove a queue; return how many messages it had. A missing one is no error."""
        if name not in self.queues:
            return 0
        queue = self.queue(name, peer)
        if if_unused and queue.consumers:
            raise PreconditionFailed(f"PRECONDITION_FAILED - {self._named('queue', name)} in use")
        if if_empty and queue.ready:
            raise PreconditionFailed(
                f"PRECONDITION_FAILED - {self._named('queue', name)} not empty"
            )
        count = len(queue.ready)
        self.remove_queue(queue)
        return count

    def bind_queue(self, source: str, queue: Queue, key: str, arguments: dict[str, Any]) -> None:
        """Let an exchange send messages to a queue."""
        self._check_not_default(source)
        self._bind(source, queue, key, arguments)

    def bind_exchange(
        self, source: str, destination: str, key: str, arguments: dict[str, Any]
    ) -> None:
        """Let an exchange send messages to another."""
        self._check_not_default(source)
        self._check_not_default(destination)
        self._bind(source, self.exchange(destination), key, arguments)

    def unbind_queue(
        self, source: str, name: str, key: str, arguments: dict[str, Any], peer: Any
    ) -> None:
        """Remove a queue's binding; a missing one is no error."""
        self._check_not_default(source)
        exchange, queue = self.exchanges.get(source), self.queues.get(name)
        if exchange and queue and exchange.has_binding(queue, key, arguments):
            self.queue(name, peer)  # it may be another's
            self._unbind(exchange, queue, key, arguments)

    def unbind_exchange(
        self, source: str, destination: str, key: str, arguments: dict[str, Any]
    ) -> None:
        """Remove a binding between exchanges; a missing one is no error."""
        self._check_not_default(source)
        self._check_not_default(destination)
        exchange, target = self.exchanges.get(source), self.exchanges.get(destination)
        if exchange and target:
            self._unbind(exchange, target, key, arguments)

    def exchange(self, name: str) -> Exchange:
        """Return the exchange; raise NotFound if there is none."""
        try:
            return self.exchanges[name]
        except KeyError:
            raise NotFound(f"NOT_FOUND - no {self._named('exchange', name)}") from None

    def queue(self, name: str, peer: Any) -> Queue:
        """Return the queue; raise NotFound, or ResourceLocked if another peer owns it."""
        try:
            queue = self.queues[name]
        except KeyError:
            raise NotFound(f"NOT_FOUND - no {self._named('queue', name)}") from None
        if queue.owner is not None and queue.owner is not peer:
            raise self._locked(name)
        return queue

    def refuse_exclusive_use(self, queue: Queue) -> ChannelError:
        """Return the error for a second consumer beside an exclusive one."""
        name = self._named("queue", queue.name)
        return AccessRefused(f"ACCESS_REFUSED - {name} in exclusive use")

    def remove_queue(self, queue: Queue) -> None:
        """Forget a queue with its messages and bindings; its consumers are told."""
        if queue.is_deleted:
            return
        del self.queues[queue.name]
        for consumer in list(queue.consumers):
            consumer.session.consumer_lost(consumer)
        queue.close()
        self._remove_bindings_to(queue)

    def remove_queues_of(self, peer: Any) -> None:
        """Forget the exclusive queues of a peer that is gone."""
        for queue in [one for one in self.queues.values() if one.owner is peer]:
            self.remove_queue(queue)

    def dead_letter(self, queue: Queue, message: Message, reason: str) -> None:
        """Publish a dead message where its queue says, if it says."""
        if queue.dead_letter_exchange is None or queue.is_deleted:
            return
        exchange = self.exchanges.get(queue.dead_letter_exchange)
        dead = record_death(queue, message, reason, self._unix_time())
        targets = [] if exchange is None else self._routes.find(exchange, dead)
        is_taken = bool(targets)
        for target in targets:
            if reason == "rejected" or not is_cycle(target.name, dead.headers):
                is_taken = target.put(dead) and is_taken
        if not is_taken:
            queue.dead_letter_failed(message, reason)

    def close(self) -> None:
        """Drop everything, timers included."""
        for queue in self.queues.values():
            queue.close()
        self.queues.clear()
        self._routes.clear()

    def _bind(
        self, source: str, destination: Queue | Exchange, key: str, arguments: dict[str, Any]
    ) -> None:
        exchange = self.exchange(source)
        check_binding_arguments(exchange.options.type, arguments)
        exchange.bind(destination, key, arguments)
        self._routes.clear()

    def _unbind(
        self, exchange: Exchange, destination: Queue | Exchange, key: str, arguments: dict[str, Any]
    ) -> None:
        if exchange.unbind(destination, key, arguments):
            self._after_unbinding(exchange)

    def _make_queue(self, name: str, options: QueueOptions, peer: Any) -> Queue:
        if name:
            check_name("queue", name)
        else:
            name = f"amq.gen-{secrets.token_urlsafe(16)}"
        check_queue_options(options, self._named("queue", name))
        queue_class = QuorumQueue if options.arguments.get("x-queue-type") == "quorum" else Queue
        queue = queue_class(name, options, peer if options.exclusive else None, self)
        self.queues[name] = queue
        self._routes.clear()
        return queue

    def _check_redeclaration(self, queue: Queue, options: QueueOptions) -> None:
        check_same_queue_options(queue.options, options, self._named("queue", queue.name))
        if queue.options.exclusive != options.exclusive:
            raise self._locked(queue.name)

    def _remove_exchange(self, exchange: Exchange) -> None:
        del self.exchanges[exchange.name]
        self._remove_bindings_to(exchange)

    def _remove_bindings_to(self, destination: Queue | Exchange) -> None:
        self._routes.clear()
        for exchange in list(self.exchanges.values()):
            if exchange.unbind_all(destination):
                self._after_unbinding(exchange)

    def _after_unbinding(self, exchange: Exchange) -> None:
        self._routes.clear()
        if exchange.options.auto_delete and not exchange.bindings:
            self._remove_exchange(exchange)

    def _check_not_default(self, exchange: str) -> None:
        if not exchange:
            raise AccessRefused("ACCESS_REFUSED - operation not permitted on the default exchange")

    def _locked(self, queue: str) -> ChannelError:
        return ResourceLocked(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked "
            f"{self._named('queue', queue)}. It could be originally declared on another "
            "connection or the exclusive property value does not match that of the original "
            "declaration."
        )

    def _named(self, kind: str, name: str) -> str:
        return f"{kind} '{name}' in vhost '{self.vhost}'"
