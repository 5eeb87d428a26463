"""A small shop: three services, which know each other by name alone."""

import logging
from collections import defaultdict

from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import deserialize_to_instance
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import RpcProxy, rpc

logger = logging.getLogger(__name__)


@deserialize_to_instance
class OutOfStock(Exception):
    """Raised when there is less of a product than was asked for."""


class Orders:
    name = "orders"
    stock = RpcProxy("stock")
    dispatch = EventDispatcher()

    @rpc(expected_exceptions=OutOfStock)
    def place(self, sku, quantity=1):
        """Reserve the goods, tell everybody, and say so."""
        self.stock.reserve(sku, quantity)
        self.dispatch("placed", {"sku": sku, "quantity": quantity})
        return {"status": "placed", "sku": sku}


class Shelves(DependencyProvider):
    """Injects how much of each product is there: one dict for all workers of a container."""

    def setup(self):
        self.quantities = defaultdict(lambda: 100)

    def get_dependency(self, worker_ctx):
        return self.quantities


class Stock:
    name = "stock"
    shelves = Shelves()

    @rpc(expected_exceptions=OutOfStock)
    def reserve(self, sku, quantity):
        """Take the goods from the shelf; return how many are left."""
        if quantity > self.shelves[sku]:
            raise OutOfStock(f"there are {self.shelves[sku]} of {sku!r}, not {quantity}")
        self.shelves[sku] -= quantity
        return self.shelves[sku]


class Mailer:
    name = "mailer"

    @event_handler("orders", "placed")
    def send(self, payload):
        """Confirm an order; a real one would send a mail."""
        text = f"your order of {payload['quantity']} x {payload['sku']} is on its way"
        logger.info("mail: %s", text)
        return text
