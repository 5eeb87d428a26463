"""Exchanges of the embedded broker: which bindings take a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rpcnode.amqp.memqueue import Queue

EXCHANGE_TYPES = ("direct", "topic", "fanout", "headers")


@dataclass(slots=True)
class ExchangeOptions:
    """How an exchange was declared."""

    type: str = "direct"
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Binding:
    """From an exchange to a queue or another exchange."""

    destination: "Queue | Exchange"
    key: str
    arguments: dict[str, Any]
    words: list[str]


class Exchange:
    """An exchange with the bindings that start at it."""

    def __init__(self, name: str, options: ExchangeOptions) -> None:
        self.name = name
        self.options = options
        self.bindings: list[Binding] = []
        self.alternate: str | None = options.arguments.get("alternate-exchange")

    def bind(self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]) -> None:
        """Add a binding; one that exists is left alone."""
        if self._find(destination, key, arguments) is None:
            self.bindings.append(Binding(destination, key, arguments, key.split(".")))

    def unbind(self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]) -> bool:
        """Remove a binding; return whether it was there."""
        found = self._find(destination, key, arguments)
        if found is not None:
            self.bindings.remove(found)
        return found is not None

    def unbind_all(self, destination: "Queue | Exchange") -> bool:
        """Remove all bindings to a destination; return whether there were any."""
        kept = [one for one in self.bindings if one.destination is not destination]
        is_changed = len(kept) < len(self.bindings)
        self.bindings = kept
        return is_changed

    def destinations(self, key: str, headers: Mapping[str, Any]) -> list["Queue | Exchange"]:
        """Return where a message with that routing key and those headers goes."""
        kind = self.options.type
        if kind == "fanout":
            return [one.destination for one in self.bindings]
        if kind == "direct":
            return [one.destination for one in self.bindings if one.key == key]
        if kind == "topic":
            words = key.split(".")
            return [one.destination for one in self.bindings if is_topic_match(one.words, words)]
        return [one.destination for one in self.bindings if _headers_match(one.arguments, headers)]

    def _find(
        self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]
    ) -> Binding | None:
        for one in self.bindings:
            if one.destination is destination and one.key == key and one.arguments == arguments:
                return one
        return None


def is_topic_match(pattern: list[str], words: list[str]) -> bool:
    """Return whether words match a pattern: `*` is one word, `#` any number of them."""
    # reachable[i] says whether what was seen of the pattern can match the first i words.
    reachable = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            first = reachable.index(True) if True in reachable else len(reachable)
            reachable = [index >= first for index in range(len(reachable))]
        else:
            reachable = [False] + [
                is_reached and part in ("*", word)
                for is_reached, word in zip(reachable, words, strict=False)
            ]
    return reachable[-1]


def _headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    wanted = {key: value for key, value in arguments.items() if not key.startswith("x-")}
    matches = (key in headers and value in (None, headers[key]) for key, value in wanted.items())
    return any(matches) if arguments.get("x-match") == "any" else all(matches)
