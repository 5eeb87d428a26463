"""How a client's messages are made, and how those that it gets are read."""

import time
from collections.abc import Mapping
from typing import Any

from rpcnode.amqp.message import PERSISTENT, Delivery, Outgoing
from rpcnode.amqp.settings import BrokerSettings, settings_from
from rpcnode.config import Config, as_config
from rpcnode.context import CALL_ID_STACK, headers_from_context, new_call_id
from rpcnode.exceptions import ConfigurationError, UndecodableMessage
from rpcnode.serialization import Serialization

# Nameko's name for its standalone clients: whoever watches the broker or reads call stacks
# knows it.
CLIENT_NAME = "standalone_rpc_proxy"


class Messages:
    """Makes the messages of one client, as its configuration says.

    `context_data` travels with each; it may be changed at any time.
    """

    def __init__(self, config: Config, context_data: Mapping[str, Any] | None = None) -> None:
        self.serialization = Serialization.from_config(config)
        self.context_data = {} if context_data is None else context_data
        self._prefix: str = config["HEADER_PREFIX"]
        self._stack_length: int = config["PARENT_CALLS_TRACKED"] + 1

    def outgoing(
        self, exchange: str, routing_key: str, payload: Any, serializer: str | None = None
    ) -> Outgoing:
        """Return a persistent message for `payload`; raise UnserializableValueError."""
        chosen = self.serialization.named(serializer)
        properties = {
            "content_type": chosen.content_type,
            "content_encoding": chosen.content_encoding,
            "delivery_mode": PERSISTENT,
            "message_id": new_call_id(),  # all the same, it is unique
            "timestamp": int(time.time()),
            "app_id": CLIENT_NAME,
        }
        return Outgoing(exchange, routing_key, chosen.encode(payload), properties)

    def headers(self) -> dict[str, Any]:
        """Return the context data as headers, with a call id of its own."""
        data = dict(self.context_data)
        call_id = f"{CLIENT_NAME}.call.{new_call_id()}"
        data[CALL_ID_STACK] = [*data.get(CALL_ID_STACK, ()), call_id][-self._stack_length :]
        return headers_from_context(data, self._prefix)

    def payload_of(self, delivery: Delivery) -> Any:
        """Return what a message says; raise UndecodableMessage when it cannot be read."""
        if delivery.problem is not None:
            raise UndecodableMessage(f"the properties cannot be read: {delivery.problem}")
        return self.serialization.decode(delivery.body, delivery.properties, delivery.headers)


def standalone_config(config: Config | Mapping[str, Any] | None, options: dict[str, Any]) -> Config:
    """Return the configuration of a client; takes its keys out of `options`.

    These are Nameko's: `uri`, `ssl`, `login_method`, `serializer`.
    """
    base = as_config(config)
    given = {key: options.pop(name) for name, key in _KEYS.items() if name in options}
    if not given:
        return base
    return Config({**base, **given}, {**base.origins, **dict.fromkeys(given, "given")})


_KEYS = {
    "uri": "AMQP_URI",
    "ssl": "AMQP_SSL",
    "login_method": "LOGIN_METHOD",
    "serializer": "SERIALIZER",
}


def standalone_settings(config: Config) -> BrokerSettings:
    """Return where the broker is; raise ConfigurationError where a client cannot go there."""
    settings = settings_from(config)
    if not settings.is_amqp:
        raise ConfigurationError(
            f"a standalone client needs RabbitMQ (amqp://, amqps://), and AMQP_URI is "
            f"{settings.safe_uri}; the embedded broker and kombu's other transports are for "
            "hosted services"
        )
    settings.alternates()
    return settings
