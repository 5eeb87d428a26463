"""The hot AMQP methods as py-amqp encodes and decodes them: see `AMQP_FAST_PATH`.

The functions are those of `rpcnode.amqp.codec`. They also have the last word on what is out of
the ordinary there.
"""

from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import RecoverableConnectionError
from amqp.serialization import dumps, loads

from rpcnode.amqp.content import Content
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.unencodable import (
    ENCODING_ERRORS,
    check_expiration,
    check_size,
    encoding_error,
)

METHOD_FRAME = 1


class EncodedMessage(amqp.Message):  # type: ignore[misc]  # py-amqp is untyped
    """A message whose properties were encoded before, to find out whether that is possible."""

    def __init__(self, body: bytes, encoded: bytes) -> None:
        super().__init__(body)
        self._encoded = encoded

    def _serialize_properties(self) -> bytes:
        return self._encoded


def write_publish(channel: Any, message: Outgoing) -> None:
    """Append a whole publish to what the connection sends next.

    Raises UnserializableHeader or PublishRejected, before anything was written, when a header
    or a property cannot be encoded.
    """
    connection = channel.connection
    if connection is None:
        raise RecoverableConnectionError("the channel is closed")
    try:
        properties = encode_properties(message.properties, message.headers)
        check_size(properties, connection.frame_max)
        arguments = dumps(
            "Bssbb", (0, message.exchange, message.routing_key, message.mandatory, False)
        )
    except ENCODING_ERRORS as exc:
        raise encoding_error(message, exc) from exc
    # It locks, and writes without switching: what several green threads write cannot interleave.
    connection.frame_writer(
        *(METHOD_FRAME, channel.channel_id, spec.Basic.Publish, arguments),
        EncodedMessage(message.body, properties),
    )


def write_ack(channel: Any, tag: int, multiple: bool = False) -> None:
    """Append an ack, of one delivery or of all up to it."""
    if channel.connection is None:
        raise RecoverableConnectionError("the channel is closed")
    channel.send_method(spec.Basic.Ack, "Lb", (tag, multiple))


def read_deliver(arguments: bytes) -> dict[str, Any]:
    """Return what kombu calls delivery info, from a Basic.Deliver."""
    try:
        (tag, number, redelivered, exchange, key), _offset = loads("sLbss", arguments, 4)
    except UnicodeDecodeError:  # brokers let anything pass, and the reader must go on
        (tag, number, redelivered), offset = loads("sLb", arguments, 4)
        exchange, offset = _lenient_text(arguments, offset)
        key, _offset = _lenient_text(arguments, offset)
    return {
        "consumer_tag": tag,
        "delivery_tag": number,
        "redelivered": redelivered,
        "exchange": exchange,
        "routing_key": key,
    }


def _lenient_text(data: bytes, offset: int) -> tuple[str, int]:
    end = offset + 1 + data[offset]
    return data[offset + 1 : end].decode(errors="replace"), end


def read_ack(arguments: bytes) -> tuple[int, bool]:
    """Return the tag of a confirm, and whether it stands for all up to it."""
    (tag, multiple), _offset = loads("Lb", arguments, 4)
    return tag, multiple


def read_delivery(
    _data: bytes, _channel_id: int, _start: int, _end: int
) -> tuple[Content, int] | None:
    """Return None: py-amqp knows single frames only."""
    return None


def encode_properties(properties: dict[str, Any], headers: dict[str, Any]) -> bytes:
    """Return the flags of the basic properties and the properties, the headers among them."""
    check_expiration(properties.get("expiration"))
    content = amqp.Message(b"")
    content.properties = {**properties, "application_headers": headers or None}
    encoded: bytes = content._serialize_properties()
    return encoded


def decode_properties(header: bytes) -> dict[str, Any]:
    """Return the properties in the payload of a header frame."""
    content = amqp.Message(b"")
    content.inbound_header(header)
    properties: dict[str, Any] = content.properties
    return properties
