"""Events: what services tell whoever wants to know."""

from rpcnode.exceptions import EventHandlerConfigurationError
from rpcnode.extensions.events import (
    BROADCAST,
    SERVICE_POOL,
    SINGLETON,
    EventDispatcher,
    EventHandler,
    event_handler,
)

__all__ = [
    "BROADCAST",
    "SERVICE_POOL",
    "SINGLETON",
    "EventDispatcher",
    "EventHandler",
    "EventHandlerConfigurationError",
    "event_handler",
]
