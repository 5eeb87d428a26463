"""Messages of any kind: consume any queue, publish to any exchange."""

import warnings
from collections.abc import Callable
from typing import Any

from kombu import Exchange, Queue

from rpcnode.amqp.naming import checked
from rpcnode.context import WorkerContext
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.message_handler import MessageHandler
from rpcnode.extensions.publishing import Address, publish
from rpcnode.publish_options import PublishOptions

__all__ = ["Consumer", "MessageHandler", "Messaging", "PublishOptions", "Publisher", "consume"]


class Consumer(MessageHandler):
    """Fires a method with the payload of each message of a queue (a `kombu.Queue`)."""

    def __init__(self, queue: Any, requeue_on_error: bool = False, **kwargs: Any) -> None:
        super().__init__(requeue_on_error=requeue_on_error, **kwargs)
        _check_entity("consume", queue, Queue)
        if not queue.name:
            raise ConfigurationError("consume wants a queue with a name: its dead queue needs one")
        checked(queue.name)
        self.queue = queue

    def make_queue(self) -> Any:
        """Return the queue as it was declared."""
        return self.queue


consume = Consumer.decorator


class Publisher(DependencyProvider):
    """Injects `publish(payload, **options)` for a `kombu.Exchange`, or the default exchange.

    The exchange, and what `declare` names, is declared at the start and on each connection.
    The options of PublishOptions may be given here and at each publish.
    """

    messaging = Messaging()

    def __init__(
        self, exchange: Any = None, queue: Any = None, declare: Any = (), **options: Any
    ) -> None:
        self.options = PublishOptions().but(declare=declare or (), **options)
        if queue is not None:
            warnings.warn(
                "Publisher(queue=) is deprecated, write exchange= and declare=",
                DeprecationWarning,
                stacklevel=3,  # past the constructor that remembers the arguments
            )
            _check_entity("Publisher(queue=)", queue, Queue)
            exchange = exchange or queue.exchange
            self.options = self.options.but(declare=queue)
        if exchange is not None:
            _check_entity("Publisher", exchange, Exchange)
        self.exchange = exchange

    def setup(self) -> None:
        """Declare the exchange and what else is to be there."""
        self.messaging.require(repr(self), *needs(self.options))
        self.messaging.declare(*([] if self.exchange is None else [self.exchange]))
        self.messaging.declare(*self.options.declare)

    def get_dependency(self, worker_ctx: WorkerContext) -> Callable[..., None]:
        """Return a function that publishes for this worker; see `publishing.publish`."""
        exchange = "" if self.exchange is None else self.exchange.name

        def publish_payload(payload: Any, **options: Any) -> None:
            chosen = self.options.but(**options) if options else self.options
            if "declare" in options:
                self.messaging.declare(*chosen.declare)
            address = Address(exchange, chosen.routing_key)
            publish(self.messaging, worker_ctx, address, payload, chosen)

        return publish_payload


def _check_entity(user: str, entity: Any, kind: type) -> None:
    if not isinstance(entity, kind):
        raise ConfigurationError(f"{user} wants a kombu.{kind.__name__}, not {entity!r}")


def needs(options: PublishOptions) -> list[str]:
    """Return what a transport must be able to do for these options."""
    wanted = {
        "mandatory": options.mandatory,
        "expiry": options.expiration is not None,
        "priority": options.priority is not None,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]
