"""Who hears which event, and where a failing one ends."""

from contextlib import ExitStack

import pytest

from examples.events import Audit, Catalogue, Orders, Replica, Undertaker, Warehouse
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import BrokerRefused, UndeliverableMessage
from rpcnode.testing import dummy, entrypoint_hook, entrypoint_waiter

PLUMS = {"sku": "plum", "quantity": 5}


def hook(runner, service_name, method_name):
    return entrypoint_hook(runner.service_map[service_name], method_name, timeout=10)


def test_every_kind_of_handler_hears_an_event(runner_factory, memory_config):
    runner = runner_factory(memory_config, Warehouse, Catalogue)
    runner.start()
    catalogue = runner.service_map["catalogue"]

    with ExitStack() as stack:
        heard = [
            stack.enter_context(entrypoint_waiter(catalogue, name, timeout=5))
            for name in ("offer", "note_fruit", "announce", "forget_cached")
        ]
        receive = stack.enter_context(hook(runner, "warehouse", "receive"))
        receive("plum", 5)

    assert [each.get() for each in heard] == [
        "plum is for sale",
        "plum is a fruit",
        "one service in the whole fleet announces plum",
        "each instance forgets plum",
    ]


def test_a_filter_keeps_out_what_its_method_does_not_want(runner_factory, memory_config):
    runner = runner_factory(memory_config, Warehouse, Catalogue)
    runner.start()
    catalogue = runner.service_map["catalogue"]

    with (
        entrypoint_waiter(catalogue, "note_fruit", timeout=5) as note_fruit,
        hook(runner, "warehouse", "receive") as receive,
    ):
        receive("nail", 1000)
        receive("apple", 1)

    assert note_fruit.get() == "apple is a fruit"


def test_a_reliable_broadcast_is_heard_by_an_instance_that_was_away(
    container_factory, runner_factory, memory_config
):
    replica = container_factory(Replica, memory_config)
    replica.start()
    replica.stop()
    runner = runner_factory(memory_config, Warehouse)
    runner.start()
    with hook(runner, "warehouse", "move") as move:
        move("plum", "A7")
    replica = container_factory(Replica, memory_config)

    with entrypoint_waiter(replica, "follow", timeout=5) as follow:
        replica.start()

    assert follow.get() == "plum is on A7"


def test_a_mandatory_event_that_nobody_hears_is_an_error(runner_factory, memory_config):
    runner = runner_factory(memory_config, Warehouse)
    runner.start()

    with hook(runner, "warehouse", "move") as move, pytest.raises(UndeliverableMessage) as error:
        move("plum", "A7")

    assert "goods.moved" in str(error.value)


class Clerk:
    name = "clerk"
    seen: list = []

    @event_handler("orders", "#")
    def note(self, payload):
        self.seen.append(payload)


def test_an_order_that_fails_is_told_to_nobody(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Clerk)
    runner.start()
    clerk = runner.service_map["clerk"]

    with entrypoint_waiter(clerk, "note", timeout=5), hook(runner, "orders", "place") as place:
        with pytest.raises(ValueError, match="there are no 500 of plum"):
            place("plum", 500)
        assert place("apple", 1) == "1 of apple"

    assert Clerk.seen == [{"sku": "apple", "quantity": 1}]


class CarelessWarehouse:
    name = "warehouse"
    dispatch = EventDispatcher()

    @dummy
    def receive(self, payload):
        self.dispatch("goods.received", payload)


def test_a_failing_event_is_tried_again_once_and_then_dead_with_its_reason(
    runner_factory, container_factory, memory_config
):
    runner = runner_factory(memory_config, CarelessWarehouse, Audit)
    runner.start()
    attempts = []

    def is_second(worker_ctx, _result, _exc_info):
        attempts.append(worker_ctx.message.redelivered)
        return len(attempts) == 2

    audit = runner.service_map["audit"]
    with (
        entrypoint_waiter(audit, "check", timeout=5, callback=is_second),
        hook(runner, "warehouse", "receive") as receive,
    ):
        receive({"sku": "plum", "quantity": 0})
    undertaker = container_factory(Undertaker, memory_config)
    seen = []
    with entrypoint_waiter(
        undertaker, "look", timeout=5, callback=lambda ctx, *_: seen.append(ctx.message) or True
    ) as look:
        undertaker.start()

    assert attempts == [False, True]
    assert look.get() == {"sku": "plum", "quantity": 0}
    [message] = seen
    assert message.headers["rpcnode-dead-reason"] == "exhausted"
    assert message.headers["rpcnode-exc-type"] == "ValueError"
    assert message.headers["rpcnode-exc-message"] == "nothing received of plum"


def test_a_dead_queue_that_does_not_exist_yet_is_named_in_the_refusal(
    container_factory, memory_config
):
    undertaker = container_factory(Undertaker, memory_config)

    with pytest.raises(BrokerRefused, match="no queue 'evt-warehouse-#--audit.check.dead'"):
        undertaker.start()
