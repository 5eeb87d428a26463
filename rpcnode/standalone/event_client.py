"""Events from outside of any service: each gives a future."""

from concurrent.futures import Future
from typing import Any

from rpcnode.amqp.entities import event_exchange
from rpcnode.amqp.message import Outgoing
from rpcnode.calls import Budget
from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError, PublishRejected
from rpcnode.proxies import UNSET
from rpcnode.publish_options import PublishOptions
from rpcnode.serialization import compress
from rpcnode.standalone.engine import START_TIMEOUT, Engine
from rpcnode.standalone.messages import Messages, standalone_settings
from rpcnode.standalone.requests import Pending, Request

_FOR_SERVICES = ("declare", "delay", "after_success")  # options that need a service around them


class EventClient:
    """Dispatches events through one engine, as any service; nothing here waits."""

    def __init__(self, config: Config) -> None:
        self.engine = Engine(standalone_settings(config))
        self._messages = Messages(config)
        self._timeout: float = config["PUBLISH_TIMEOUT"]
        self._auto_delete: bool = config["AUTO_DELETE_EVENT_EXCHANGES"]
        self._declares: bool = config["DECLARE_EVENT_EXCHANGES"]

    def start(self, timeout: float | None = START_TIMEOUT) -> "Future[None]":
        """Connect; see `Engine.start`."""
        return self.engine.start(timeout)

    def stop(self) -> "Future[None]":
        """Let go of everything; see `Engine.stop`."""
        return self.engine.stop()

    def dispatch(
        self,
        service_name: str,
        event_type: str,
        event_data: Any,
        options: PublishOptions,
        budget: Budget,
    ) -> Pending:
        """Dispatch an event as `service_name` would; the future is done when the broker has it.

        `budget` is its time, some of which may be spent already. Raises what makes the event
        impossible to send: UnserializableValueError and such.
        """
        exchange = event_exchange(service_name, auto_delete=self._auto_delete, no_declare=False)
        message = self._message(exchange.name, event_type, event_data, options)
        entity = exchange if self._declares else None
        return self.engine.submit(Request(message, budget, Pending(), entity))

    def budget(self, options: PublishOptions) -> Budget:
        """Return the time for an event, from now on."""
        return Budget.lasting(self._timeout if options.timeout is UNSET else options.timeout)

    def _message(
        self, exchange: str, event_type: str, event_data: Any, options: PublishOptions
    ) -> Outgoing:
        if not isinstance(event_type, str):
            raise PublishRejected(f"an event type must be a text, not {event_type!r}")
        message = self._messages.outgoing(exchange, event_type, event_data, options.serializer)
        message.mandatory = options.mandatory
        message.properties.update(options.properties())
        message.headers = dict(options.headers)
        if options.compression is not None:
            message.body, kind = compress(message.body, options.compression)
            message.headers["compression"] = kind
        return message


def check_options(options: PublishOptions) -> PublishOptions:
    """Return the options of an event; raise ConfigurationError for those that need a service."""
    for name in _FOR_SERVICES:
        if getattr(options, name):
            raise ConfigurationError(f"the option {name!r} is for services only")
    return options
