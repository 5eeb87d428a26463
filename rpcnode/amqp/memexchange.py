"""Exchanges of the embedded broker: which bindings take a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rpcnode.amqp.memqueue import Queue

EXCHANGE_TYPES = ("direct", "topic", "fanout", "headers")
HEADER_MATCHES = ("all", "any", "all-with-x", "any-with-x")


@dataclass(slots=True)
class ExchangeOptions:
    """How an exchange was declared."""

    type: str = "direct"
    durable: bool = False
    auto_delete: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Binding:
    """From an exchange to a queue or another exchange."""

    destination: "Queue | Exchange"
    key: str
    arguments: dict[str, Any]
    words: list[str]


# Bindings that differ in one of these are different; the arguments come as text.
Identity = tuple["Queue | Exchange", str, str]


class Exchange:
    """An exchange with the bindings that start at it.

    Those that want one certain routing key are found by it, however many there are.
    """

    def __init__(self, name: str, options: ExchangeOptions) -> None:
        self.name = name
        self.options = options
        self.bindings: dict[Identity, Binding] = {}
        self.alternate: str | None = options.arguments.get("alternate-exchange")
        self._by_key: dict[str, dict[Identity, Binding]] = {}
        self._others: dict[Identity, Binding] = {}

    def bind(self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]) -> None:
        """Add a binding; one that exists is left alone."""
        identity = _identity(destination, key, arguments)
        if identity in self.bindings:
            return
        binding = Binding(destination, key, arguments, _words(key))
        self.bindings[identity] = binding
        if self._wants_one_key(binding):
            self._by_key.setdefault(key, {})[identity] = binding
        else:
            self._others[identity] = binding

    def unbind(self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]) -> bool:
        """Remove a binding; return whether it was there."""
        identity = _identity(destination, key, arguments)
        is_there = identity in self.bindings
        if is_there:
            self._remove(identity)
        return is_there

    def unbind_all(self, destination: "Queue | Exchange") -> bool:
        """Remove all bindings to a destination; return whether there were any."""
        doomed = [identity for identity in self.bindings if identity[0] is destination]
        for identity in doomed:
            self._remove(identity)
        return bool(doomed)

    def has_binding(
        self, destination: "Queue | Exchange", key: str, arguments: dict[str, Any]
    ) -> bool:
        """Return whether there is such a binding."""
        return _identity(destination, key, arguments) in self.bindings

    def destinations(self, key: str, headers: Mapping[str, Any]) -> list["Queue | Exchange"]:
        """Return where a message with that routing key and those headers goes."""
        kind = self.options.type
        if kind == "fanout":
            return [one.destination for one in self._others.values()]
        if kind == "headers":
            return [
                one.destination
                for one in self._others.values()
                if _headers_match(one.arguments, headers)
            ]
        found = [one.destination for one in self._by_key.get(key, {}).values()]
        if self._others:
            words = _words(key)
            patterns = self._others.values()
            found += [one.destination for one in patterns if is_topic_match(one.words, words)]
        return found

    def _wants_one_key(self, binding: Binding) -> bool:
        if self.options.type == "topic":
            return "*" not in binding.words and "#" not in binding.words
        return self.options.type == "direct"

    def _remove(self, identity: Identity) -> None:
        binding = self.bindings.pop(identity)
        if self._others.pop(identity, None) is not None:
            return
        same_key = self._by_key[binding.key]
        del same_key[identity]
        if not same_key:
            del self._by_key[binding.key]


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


def _identity(destination: "Queue | Exchange", key: str, arguments: Mapping[str, Any]) -> Identity:
    return destination, key, repr(sorted(arguments.items())) if arguments else ""


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    how = arguments.get("x-match", "all")
    matches = (
        key in headers and (value is None or _is_same(value, headers[key]))
        for key, value in arguments.items()
        if key != "x-match" and (how.endswith("-with-x") or not key.startswith("x-"))
    )
    return any(matches) if how.startswith("any") else all(matches)


def _is_same(one: Any, other: Any) -> bool:
    # A truth value is no number in AMQP.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
