"""Messages of kombu's other transports, in the shape of py-amqp's."""

from typing import Any


def is_plain(channel: Any) -> bool:
    """Return whether a channel is one of kombu's virtual transports."""
    # RabbitMQ's and the embedded broker's tell of their loss. To ask for kombu's class would
    # load it, and all services with it.
    return not hasattr(type(channel), "on_lost")


class PlainMessage:
    """What a virtual transport of kombu delivered, as `Delivery` wants it."""

    __slots__ = ("body", "channel", "delivery_info", "properties")

    def __init__(self, message: Any) -> None:
        body = message.body
        self.body: bytes = body if isinstance(body, bytes) else body.encode()
        self.channel = message.channel
        self.delivery_info: dict[str, Any] = {
            "exchange": "",
            "routing_key": "",
            **(message.delivery_info or {}),
            "delivery_tag": message.delivery_tag,
        }
        self.properties: dict[str, Any] = {
            **message.properties,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "application_headers": dict(message.headers or {}),
        }
