"""Events: dispatched by one service, heard by others."""

import logging
import socket

from kombu import Queue

from rpcnode.events import BROADCAST, SINGLETON, EventDispatcher, EventHandler, event_handler
from rpcnode.messaging import consume
from rpcnode.rpc import rpc

logger = logging.getLogger(__name__)


class Warehouse:
    name = "warehouse"
    dispatch = EventDispatcher()

    @rpc
    def receive(self, sku, quantity):
        self.dispatch("goods.received", {"sku": sku, "quantity": quantity})

    @rpc
    def move(self, sku, shelf):
        self.dispatch("goods.moved", {"sku": sku, "shelf": shelf}, mandatory=True)


class Orders:
    name = "orders"
    dispatch = EventDispatcher(after_success=True)

    @rpc
    def place(self, sku, quantity):
        self.dispatch("placed", {"sku": sku, "quantity": quantity})
        self.dispatch("unpaid", {"sku": sku}, delay=900)
        if quantity > 100:
            raise ValueError(f"there are no {quantity} of {sku}")
        return f"{quantity} of {sku}"


def is_fruit(payload):
    return payload["sku"] in ("apple", "plum")


class Catalogue:
    name = "catalogue"

    @event_handler("warehouse", "goods.received")
    def offer(self, payload):
        return f"{payload['sku']} is for sale"

    @event_handler("warehouse", "goods.*", filter=is_fruit)
    def note_fruit(self, payload):
        return f"{payload['sku']} is a fruit"

    @event_handler("warehouse", "goods.received", handler_type=SINGLETON)
    def announce(self, payload):
        return f"one service in the whole fleet announces {payload['sku']}"

    @event_handler("warehouse", "goods.received", handler_type=BROADCAST)
    def forget_cached(self, payload):
        return f"each instance forgets {payload['sku']}"


class HostEventHandler(EventHandler):
    """Hears broadcasts that were dispatched while this host's instance was away, too."""

    @property
    def broadcast_identifier(self):
        return socket.gethostname()


host_event_handler = HostEventHandler.decorator


class Replica:
    name = "replica"

    @host_event_handler("warehouse", "goods.moved", handler_type=BROADCAST, reliable_delivery=True)
    def follow(self, payload):
        return f"{payload['sku']} is on {payload['shelf']}"


class Audit:
    name = "audit"

    @event_handler("warehouse", "#", requeue_on_error=True, max_workers=1)
    def check(self, payload):
        if payload.get("quantity", 1) <= 0:
            raise ValueError(f"nothing received of {payload['sku']}")


class Undertaker:
    name = "undertaker"

    @consume(Queue("evt-warehouse-#--audit.check.dead", no_declare=True))
    def look(self, payload):
        logger.warning("the audit could not check %r", payload)
        return payload
