"""The example services of the README."""

import pytest

from examples.shop import Mailer, Orders, OutOfStock, Stock
from rpcnode.testing import entrypoint_hook, entrypoint_waiter


def test_an_order_is_placed_and_mailed(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Stock, Mailer)
    runner.start()
    orders, mailer = runner.service_map["orders"], runner.service_map["mailer"]

    with (
        entrypoint_waiter(mailer, "send", timeout=5) as mail,
        entrypoint_hook(orders, "place") as place,
    ):
        reply = place("plum", quantity=3)

    assert reply == {"status": "placed", "sku": "plum"}
    assert mail.get() == "your order of 3 x plum is on its way"


def test_an_order_beyond_the_stock_is_refused_where_it_was_placed(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Stock)
    runner.start()

    with entrypoint_hook(runner.service_map["orders"], "place") as place:
        place("plum", quantity=60)
        with pytest.raises(OutOfStock) as refusal:
            place("plum", quantity=60)

    assert "there are 40 of 'plum', not 60" in str(refusal.value)
