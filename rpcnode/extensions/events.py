"""Events: what services tell whoever wants to know."""

import uuid
from collections.abc import Callable
from typing import Any, Self

from rpcnode.amqp import naming
from rpcnode.amqp.entities import CLASSIC, QueueLife, event_exchange, event_queue
from rpcnode.amqp.message import Delivery
from rpcnode.context import WorkerContext
from rpcnode.exceptions import EventHandlerConfigurationError
from rpcnode.extensions.base import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.messaging import MessageHandler, needs
from rpcnode.extensions.publishing import Address, publish
from rpcnode.publish_options import PublishOptions

SERVICE_POOL = "service_pool"
SINGLETON = "singleton"
BROADCAST = "broadcast"
HANDLER_TYPES = (SERVICE_POOL, SINGLETON, BROADCAST)


class EventHandler(MessageHandler):
    """Fires a method with the payload of each event of a type that a service dispatches.

    `event_type` may have AMQP's wildcards: `order.*`, `#`.

    - `handler_type`: SERVICE_POOL, one instance of each service gets the event; SINGLETON, one
      instance of any service; BROADCAST, every instance.
    - `reliable_delivery`: events wait in the broker while nobody handles them. It is the
      default but for broadcasts, which need a `broadcast_identifier` for it that stays the same.
    """

    def __init__(
        self,
        source_service: str,
        event_type: str,
        handler_type: str = SERVICE_POOL,
        reliable_delivery: bool | None = None,
        requeue_on_error: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(requeue_on_error=requeue_on_error, **kwargs)
        if handler_type not in HANDLER_TYPES:
            raise EventHandlerConfigurationError(
                f"handler_type must be one of {', '.join(HANDLER_TYPES)}, not {handler_type!r}"
            )
        self.source_service = source_service
        self.event_type = event_type
        self.handler_type = handler_type
        self.reliable_delivery = reliable_delivery

    @property
    def broadcast_identifier(self) -> str:
        """What tells the queues of a broadcast handler's instances apart.

        This default is new each time. Override it with something that stays (a host name) to
        have broadcasts delivered that were dispatched while the instance was away.
        """
        return uuid.uuid4().hex

    @property
    def is_reliable(self) -> bool:
        """Whether events wait in the broker while nobody handles them."""
        if self.reliable_delivery is None:
            return self.handler_type != BROADCAST
        return self.reliable_delivery

    def bind(self, container: Any, method_name: str) -> Self:  # type: ignore[override]  # Nameko's
        """Return a copy for `container`; EventHandlerConfigurationError if it cannot work."""
        bound = super().bind(container, method_name)
        if self.handler_type == BROADCAST and self.is_reliable and not self._has_own_identifier():
            raise EventHandlerConfigurationError(
                f"{bound!r}: a broadcast with reliable_delivery needs a broadcast_identifier that "
                "stays the same: override that property in a subclass of EventHandler"
            )
        bound._queue_name("x" * 32)  # a name that is too long fails here
        return bound

    def setup(self) -> None:
        """Make the consumer of the handler's queue."""
        if self._life().exclusive:
            self.messaging.require(repr(self), "exclusive")
        super().setup()

    def make_queue(self) -> Any:
        """Return the handler's queue, bound to the source's exchange."""
        identifier = self.broadcast_identifier if self.handler_type == BROADCAST else ""
        name = self._queue_name(identifier)
        exchange = exchange_of(self.container.config, self.source_service)
        return event_queue(name, exchange, self.event_type, self._life())

    def dead_queue(self, delivery: Delivery) -> str:
        """Return the name of the dead queue; all instances of a broadcast handler share one."""
        if self.handler_type == BROADCAST:
            return naming.dead_queue(self._queue_name(""))
        return naming.dead_queue(delivery.queue)

    def _life(self) -> QueueLife:
        return QueueLife(
            exclusive=self.handler_type == BROADCAST and not self.is_reliable,
            auto_delete=not self.is_reliable,
            type=self.container.config["QUEUE_TYPE"] if self._is_shared() else CLASSIC,
        )

    def _is_shared(self) -> bool:
        """Whether instances share the queue, and events wait in it."""
        return self.is_reliable and self.handler_type != BROADCAST

    def _queue_name(self, identifier: str) -> str:
        handler = "" if self.handler_type == SINGLETON else self._label()
        identifier = identifier if self.handler_type == BROADCAST else ""
        return naming.event_queue(self.source_service, self.event_type, handler, identifier)

    def _has_own_identifier(self) -> bool:
        return type(self).broadcast_identifier is not EventHandler.broadcast_identifier


event_handler = EventHandler.decorator


class EventDispatcher(DependencyProvider):
    """Injects `dispatch(event_type, payload, **options)`, for events of this service.

    It returns when the broker has the event, and raises what `publishing.publish` raises. That
    nobody listens is fine, unless `mandatory=True` says otherwise. The options are those of
    PublishOptions; the routing key is the event type.
    """

    messaging = Messaging()

    def __init__(self, **options: Any) -> None:
        self.options = PublishOptions().but(**options)

    def setup(self) -> None:
        """Declare the exchange of this service's events."""
        self.messaging.require(repr(self), *needs(self.options))
        exchange = exchange_of(self.container.config, self.container.service_name)
        self.messaging.declare(*([] if exchange.no_declare else [exchange]))
        self._exchange: str = exchange.name

    def get_dependency(self, worker_ctx: WorkerContext) -> Callable[..., None]:
        """Return a function that dispatches for this worker."""

        def dispatch(event_type: str, event_data: Any, **options: Any) -> None:
            chosen = self.options.but(**options) if options else self.options
            address = Address(self._exchange, event_type)
            publish(self.messaging, worker_ctx, address, event_data, chosen)

        return dispatch


def exchange_of(config: Any, service: str) -> Any:
    """Return the event exchange of a service as the configuration wants it declared."""
    return event_exchange(
        service,
        auto_delete=config["AUTO_DELETE_EVENT_EXCHANGES"],
        no_declare=not config["DECLARE_EVENT_EXCHANGES"],
    )
