"""Messages of the embedded broker as senders give them and consumers get them.

Values are what they would be had they travelled: AMQP has fewer types than Python. What is
rare goes through py-amqp's own encoding, which also says what cannot be sent.
"""

from typing import Any

from amqp import Message as AmqpMessage
from amqp.serialization import dumps, loads

from rpcnode.amqp.memqueue import Entry, Message

_PROPERTIES = frozenset(name for name, _type in AmqpMessage.PROPERTIES) - {"application_headers"}
_OCTETS = ("delivery_mode", "priority")
_SAFE = frozenset((bool, float, type(None)))  # these travel as they are
_SHORT = 63  # characters that are surely no more than 255 bytes


def prepared(body: Any, properties: dict[str, Any], headers: dict[str, Any] | None) -> Message:
    """Return a message that shares nothing with its sender.

    Raises py-amqp's errors for what AMQP cannot carry.
    """
    if isinstance(body, str):
        body = body.encode(properties.get("content_encoding") or "utf-8")
    known = {
        name: value
        for name, value in properties.items()
        if value is not None and name in _PROPERTIES
    }
    if not all(_is_surely_sendable(name, value) for name, value in known.items()):
        AmqpMessage(b"", **known)._serialize_properties()  # for its errors
    return Message(bytes(body), known, encodable(headers) if headers else None)


def encodable(table: dict[str, Any] | None) -> dict[str, Any]:
    """Return a copy of a table as it comes out at the other end of a connection."""
    return {key: value for name, one in (table or {}).items() for key, value in _item(name, one)}


class Delivered:
    """A message as a consumer gets it: shaped as py-amqp's, and nobody else's to change."""

    __slots__ = ("body", "channel", "delivery_info", "delivery_tag", "properties")

    def __init__(self, channel: Any, entry: Entry, tag: int) -> None:
        message = entry.message
        self.body = message.body
        self.properties = dict(message.properties)
        if message.headers is not None or entry.returns is not None:
            headers = _copy(message.headers or {})
            headers.pop("BCC", None)
            if entry.returns is not None:
                headers["x-delivery-count"] = entry.returns
            self.properties["application_headers"] = headers
        self.channel = channel
        self.delivery_tag = tag
        self.delivery_info: dict[str, Any] = {
            "delivery_tag": tag,
            "redelivered": entry.is_redelivered,
            "exchange": message.exchange,
            "routing_key": message.routing_key,
        }

    @property
    def headers(self) -> dict[str, Any]:
        """The headers of the application."""
        return self.properties.setdefault("application_headers", {})  # type: ignore[no-any-return]


def _is_surely_sendable(name: str, value: Any) -> bool:
    if name in _OCTETS:
        return type(value) is int and 0 <= value <= 255
    return name != "timestamp" and type(value) is str and len(value) <= _SHORT


def _item(key: Any, value: Any) -> Any:
    kind = type(value)
    is_text = kind is str and value.isascii()
    is_number = kind is int and -(2**63) <= value < 2**63
    if type(key) is str and len(key) <= _SHORT:
        if is_text or is_number or kind in _SAFE:
            return ((key, value),)
        if kind is list and all(type(one) is str and one.isascii() for one in value):
            return ((key, value.copy()),)  # the call ids of each call
    (decoded,), _end = loads("F", dumps("F", ({key: value},)), 0)
    return decoded.items()


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value
