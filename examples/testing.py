"""Tests of the shop: `pytest examples/testing.py`."""

import pytest

from examples.shop import Mailer, Orders, OutOfStock, Stock
from rpcnode.extensions import DependencyProvider, Entrypoint
from rpcnode.rpc import rpc
from rpcnode.testing import (
    StrictMock,
    entrypoint_hook,
    entrypoint_waiter,
    replace_dependencies,
    restrict_entrypoints,
    worker_factory,
)
from rpcnode.testing.utils import get_container
from rpcnode.timer import timer


def test_order_reserves_the_goods_and_tells_everybody():
    orders = worker_factory(Orders)

    reply = orders.place("plum", quantity=2)

    assert reply == {"status": "placed", "sku": "plum"}
    orders.stock.reserve.assert_called_once_with("plum", 2)
    orders.dispatch.assert_called_once_with("placed", {"sku": "plum", "quantity": 2})


def test_nobody_is_told_of_an_order_without_goods():
    orders = worker_factory(Orders)
    orders.stock.reserve.side_effect = OutOfStock

    with pytest.raises(OutOfStock):
        orders.place("plum")

    orders.dispatch.assert_not_called()


def test_shelf_gets_emptier():
    shelves = {"plum": 5}
    stock = worker_factory(Stock, shelves=shelves)

    assert stock.reserve("plum", 2) == 3
    assert shelves == {"plum": 3}


class Gateway:
    """Sends text messages."""

    def send(self, number, text):
        raise NotImplementedError("no network")  # tests put a mock in its place


class TextMessages(DependencyProvider):
    """Injects the gateway."""

    def get_dependency(self, worker_ctx) -> Gateway:
        return Gateway()


class Reminder:
    name = "reminder"
    gateway = TextMessages()

    @rpc
    def remind(self, number):
        self.gateway.send(number, "your plums are waiting")

    @rpc
    def remind_wrongly(self, number):
        self.gateway.send(number)

    @timer(interval=3600, eager=True)
    def remind_everybody(self):
        for number in ("555", "556"):
            self.remind(number)


def test_mock_knows_the_methods_of_the_gateway():
    reminder = worker_factory(Reminder)

    reminder.remind("555")

    reminder.gateway.send.assert_called_once_with("555", "your plums are waiting")
    with pytest.raises(TypeError, match="missing a required argument: 'text'"):
        reminder.remind_wrongly("555")


def test_order_asks_for_nothing_that_was_not_prepared():
    orders = worker_factory(Orders, stock=StrictMock(name="stock"))

    with pytest.raises(AssertionError, match="unexpected call"):
        orders.place("plum")


def test_stock_remembers_what_it_gave_away(container_factory, memory_config):
    container = container_factory(Stock, memory_config)
    container.start()

    with entrypoint_hook(container, "reserve") as reserve:
        assert reserve("plum", 30) == 70
        assert reserve("plum", quantity=70) == 0
        with pytest.raises(OutOfStock, match="there are 0 of 'plum', not 1"):
            reserve("plum", 1)


def test_order_with_a_stock_that_is_not_hosted(container_factory, memory_config):
    container = container_factory(Orders, memory_config)
    stock, dispatch = replace_dependencies(container, "stock", "dispatch")
    container.start()

    with entrypoint_hook(container, "place") as place:
        place("plum")

    stock.reserve.assert_called_once_with("plum", 1)
    dispatch.assert_called_once_with("placed", {"sku": "plum", "quantity": 1})


def test_placed_order_is_mailed(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Stock, Mailer)
    runner.start()
    orders, mailer = get_container(runner, Orders), get_container(runner, Mailer)

    with entrypoint_waiter(mailer, "send") as mail, entrypoint_hook(orders, "place") as place:
        place("plum", quantity=2)

    assert mail.get() == "your order of 2 x plum is on its way"


def test_every_placed_order_is_mailed(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Stock, Mailer)
    runner.start()
    orders, mailer = get_container(runner, Orders), get_container(runner, Mailer)
    mailed = set()

    def are_all_mailed(worker_ctx, result, exc_info):
        (payload,) = worker_ctx.args
        mailed.add(payload["sku"])
        return mailed == {"plum", "pear"}

    mails = entrypoint_waiter(mailer, "send", timeout=5, callback=are_all_mailed)
    with mails, entrypoint_hook(orders, "place") as place:
        place("plum")
        place("pear")


def test_reminder_without_its_timer(container_factory, memory_config):
    container = container_factory(Reminder, memory_config)
    restrict_entrypoints(container, "remind")
    gateway = replace_dependencies(container, "gateway")
    container.start()

    with entrypoint_hook(container, "remind") as remind:
        remind("555")

    gateway.send.assert_called_once_with("555", "your plums are waiting")


def test_placed_order_is_mailed_by_way_of_rabbitmq(runner_factory, rabbit_config):
    runner = runner_factory(rabbit_config, Orders, Stock, Mailer)
    runner.start()
    orders, mailer = get_container(runner, Orders), get_container(runner, Mailer)

    with entrypoint_waiter(mailer, "send") as mail, entrypoint_hook(orders, "place") as place:
        place("plum")

    assert mail.get() == "your order of 1 x plum is on its way"


def test_partner_gets_every_order(
    runner_factory, rabbit_config, rabbit_manager, get_message_from_queue
):
    runner = runner_factory(rabbit_config, Orders, Stock)
    runner.start()
    vhost = rabbit_config["vhost"]
    rabbit_manager.create_queue(vhost, "partner", durable=True)
    rabbit_manager.create_queue_binding(vhost, "orders.events", "partner", "placed")

    with entrypoint_hook(get_container(runner, Orders), "place") as place:
        place("plum")

    assert get_message_from_queue("partner").payload == {"sku": "plum", "quantity": 1}


class Doorbell(Entrypoint):
    """Fires a method with the name of whoever rings."""

    def ring(self, guest):
        self.container.spawn_worker(self, (guest,), {})


def test_doorbell_fires_with_the_name_of_the_guest(mock_container):
    doorbell = Doorbell().bind(mock_container, "open_door")

    doorbell.ring("Ada")

    mock_container.spawn_worker.assert_called_once_with(doorbell, ("Ada",), {})
