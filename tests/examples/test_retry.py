"""What the retry examples do about failures."""

from pathlib import Path

import pytest

from examples.retry import Express, Invoices, Orders, Shipping
from rpcnode.config import load
from rpcnode.events import event_handler
from rpcnode.exceptions import Reject
from rpcnode.retries import policy_from
from rpcnode.retry import Exponential, Retry
from rpcnode.testing import entrypoint_hook, entrypoint_waiter

FILE = Path(__file__).parent.parent.parent / "examples" / "retry.yaml"


@pytest.fixture
def outcome_of(runner_factory, memory_config):
    """Return a function that places an order, and returns what a handler made of it at last."""

    def place(service, method="ship", address="Elm Street", more=()):
        runner = runner_factory(memory_config, Orders, service, *more)
        runner.start()

        def is_last(worker_ctx, result, exc_info):
            return exc_info is None or exc_info[0] is Reject

        watched = runner.service_map[more[0].name if more else service.name]
        with entrypoint_waiter(watched, method, callback=is_last, timeout=5) as outcome:
            with entrypoint_hook(runner.service_map["orders"], "place", timeout=5) as hook:
                hook(7, address)
        return outcome

    return place


def test_order_is_shipped_once_the_carrier_is_back(outcome_of):
    assert outcome_of(Shipping).get() == "parcel for Elm Street"


def test_order_without_an_address_is_rejected(outcome_of):
    with pytest.raises(Reject, match="no address"):
        outcome_of(Shipping, address="").get()


def test_customer_is_told_when_no_attempt_has_helped(outcome_of):
    class Customer:
        name = "customer"

        @event_handler("express", "delayed")
        def hear(self, payload):
            return payload

    told = outcome_of(Express, "hear", more=(Customer,)).get()

    assert told == {"number": 7, "because": "connection refused"}


def test_invoice_is_written_when_the_order_is_paid(outcome_of):
    assert outcome_of(Invoices, "write").get() == "invoice for 7, 0.2 s late"


def test_configured_policy_is_that_of_the_page():
    policy = policy_from(load(FILE, environ={})["EVENT_RETRY"], "EVENT_RETRY")

    assert policy == Retry(5, Exponential(1, factor=2, max=300), jitter=0.2)
