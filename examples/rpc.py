"""Methods that others call, and the ways to call them."""

import time

from rpcnode.exceptions import (
    RemoteError,
    RpcTimeout,
    TooBusy,
    UnknownService,
    deserialize_to_instance,
)
from rpcnode.retry import Exponential, Retry
from rpcnode.rpc import ClusterRpc, RpcProxy, rpc


@deserialize_to_instance
class NegativeAmount(ValueError):
    """Raised when an amount is below zero."""


class Billing:
    name = "billing"

    @rpc
    def total(self, amounts, tax=0):
        return sum(amounts) + tax

    @rpc(expected_exceptions=NegativeAmount)
    def charge(self, amount):
        if amount < 0:
            raise NegativeAmount(amount)
        return {"charged": amount}

    @rpc(timeout=0.2, sensitive_arguments="card.number")
    def reserve(self, card, amount):
        time.sleep(60)  # stands for a bank that does not answer; the deadline ends it


class Desk:
    name = "desk"
    billing = RpcProxy("billing")
    cluster = ClusterRpc(timeout=5)

    @rpc
    def bill(self, amounts):
        return self.billing.total(amounts, tax=1)

    @rpc
    def bill_quickly(self, amounts):
        return self.billing.total.with_options(timeout=0.5)(amounts)

    @rpc
    def bill_all(self, orders):
        replies = [self.billing.total.call_async(amounts) for amounts in orders]
        return [reply.result() for reply in replies]

    @rpc
    def charge_later(self, amount):
        self.billing.charge.cast(amount)

    @rpc
    def reserve(self, card, amount):
        return self.billing.reserve(card, amount=amount)

    @rpc
    def ask(self, service_name, amounts):
        return self.cluster[service_name].total(amounts)

    @rpc
    def charge(self, amount):
        try:
            return self.billing.charge(amount)
        except NegativeAmount as exc:  # registered: it arrives as itself
            return f"refused: {exc}"
        except RemoteError as exc:  # any other exception of the method
            return f"failed: {exc.exc_type}: {exc.value}"
        except RpcTimeout:
            return "charged or not: nobody knows"
        except UnknownService:
            return "nobody ever hosted it"


class Reports:
    name = "reports"

    @rpc(max_workers=1, queue_limit=1)
    def yearly(self, year):
        time.sleep(0.1)  # stands for a long computation
        return f"the report of {year}"

    @rpc
    def years(self):
        return [2024, 2025]


class Payments:
    name = "payments"

    @rpc(on_redelivery="refuse")
    def pay(self, amount):
        return {"paid": amount}

    @rpc(idempotent=True)
    def set_limit(self, limit):
        return {"limit": limit}


class Office:
    name = "office"
    reports = RpcProxy("reports")
    patient = RpcProxy("reports", retry=Retry(max_attempts=20, delay=Exponential(0.05, max=1)))
    payments = RpcProxy("payments", retry=Retry(3))

    @rpc
    def report(self, year):
        try:
            return self.reports.yearly(year)
        except TooBusy:
            return "ask again later"

    @rpc
    def report_in_the_end(self, year):
        return self.patient.yearly(year)

    @rpc
    def set_limit(self, limit):
        return self.payments.set_limit(limit)
