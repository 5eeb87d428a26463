"""Retry: what fails for a while is tried again, what fails for good is taken care of."""

from rpcnode.events import EventDispatcher, event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.retry import Exponential, Fixed, Reject, Retry, RetryInfo, RetryLater
from rpcnode.rpc import rpc


class CarrierIsAway(Exception):
    pass


class Carrier(DependencyProvider):
    """Stands in for the carrier's API, which is away for its first calls."""

    def __init__(self, away=0):
        self.away = away

    def get_dependency(self, worker_ctx):
        return self.book

    def book(self, order):
        if self.away > 0:
            self.away -= 1
            raise CarrierIsAway("connection refused")
        return f"parcel for {order['address']}"


class Orders:
    name = "orders"
    dispatch = EventDispatcher()

    @rpc
    def place(self, number, address):
        self.dispatch("placed", {"number": number, "address": address})


class Shipping:
    name = "shipping"
    book_parcel = Carrier(away=2)

    @event_handler("orders", "placed", retry=Retry(max_attempts=5, delay=Exponential(0.1, max=300)))
    def ship(self, order):
        if not order["address"]:
            raise Reject("there is no address")
        return self.book_parcel(order)


class Express:
    name = "express"
    book_parcel = Carrier(away=99)
    dispatch = EventDispatcher()

    @event_handler(
        "orders",
        "placed",
        retry=Retry(3, delay=Fixed(0.1), on=(CarrierIsAway,)),
        on_exhausted="apologise",
    )
    def ship(self, order):
        return self.book_parcel(order)

    def apologise(self, order, failure):
        self.dispatch("delayed", {"number": order["number"], "because": failure.message})
        return f"sorry after {failure.attempts} attempts: {failure.message}"


class Invoices:
    name = "invoices"
    attempt = RetryInfo()

    @event_handler("orders", "placed", retry=Retry(max_attempts=10))
    def write(self, order):
        if self.attempt.attempt < 3:  # a real one would ask whether the order is paid
            raise RetryLater(delay=0.1, reason="it is not paid yet")
        return f"invoice for {order['number']}, {self.attempt.delay_so_far:.1f} s late"
