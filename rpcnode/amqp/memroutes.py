"""Routes through the exchanges of the embedded broker, kept until a binding changes."""

from typing import Any

from rpcnode.amqp.memdeath import extra_keys
from rpcnode.amqp.memexchange import Exchange
from rpcnode.amqp.memqueue import Message, Queue

MAX_KEPT = 10_000


class Routes:
    """Finds the queues of a message; `clear` it whenever exchanges, queues or bindings change."""

    def __init__(self, exchanges: dict[str, Exchange], queues: dict[str, Queue]) -> None:
        self._exchanges = exchanges
        self._queues = queues
        self._kept: dict[tuple[str, str], list[Queue]] = {}

    def find(self, exchange: Exchange, message: Message) -> list[Queue]:
        """Return the queues that get a message, each once."""
        key, headers = message.routing_key, message.headers or {}
        if "CC" in headers or "BCC" in headers:
            return self._walk(exchange, [key, *extra_keys(headers)], headers)[0]
        if not exchange.name:
            queue = self._queues.get(key)
            return [] if queue is None else [queue]
        kept = self._kept.get((exchange.name, key))
        if kept is not None:
            return kept
        queues, is_by_key = self._walk(exchange, [key], headers)
        if is_by_key:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[exchange.name, key] = queues
        return queues

    def clear(self) -> None:
        """Forget what was found."""
        self._kept.clear()

    def _walk(
        self, exchange: Exchange, keys: list[str], headers: dict[str, Any]
    ) -> tuple[list[Queue], bool]:
        """Return each queue once, and whether the routing keys alone decided."""
        found: dict[Queue, None] = {}
        seen: dict[Exchange, None] = {}
        waiting = [exchange]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen[current] = None
            destinations = self._destinations(current, keys, headers)
            alternate = self._exchanges.get(current.alternate or "")
            if not destinations and current.alternate is not None and alternate is not None:
                waiting.append(alternate)
            for one in destinations:
                if isinstance(one, Queue):
                    found[one] = None
                else:
                    waiting.append(one)
        return list(found), all(one.options.type != "headers" for one in seen)

    def _destinations(
        self, exchange: Exchange, keys: list[str], headers: dict[str, Any]
    ) -> list[Queue | Exchange]:
        if not exchange.name:
            return [self._queues[key] for key in keys if key in self._queues]
        return [one for key in keys for one in exchange.destinations(key, headers)]
