"""What Nameko's pages show of containers, runners, and the helpers for tests."""

import pytest

from rpcnode.containers import ServiceContainer
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import RemoteError
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.runners import ServiceRunner, run_services
from rpcnode.testing.services import (
    entrypoint_hook,
    entrypoint_waiter,
    once,
    replace_dependencies,
    restrict_entrypoints,
    worker_factory,
)
from rpcnode.testing.utils import get_container
from rpcnode.timer import timer


class Converter:
    name = "converter"
    rates = RpcProxy("rates")
    dispatch = EventDispatcher()

    @rpc
    def to_cm(self, inches):
        self.dispatch("converted", {"inches": inches})
        return inches * self.rates.get("inch")


class Rates:
    name = "rates"

    @rpc
    def get(self, unit):
        return {"inch": 2.54}[unit]


class Statistics:
    name = "statistics"

    @event_handler("converter", "converted")
    def count(self, payload):
        return payload["inches"]

    @timer(interval=3600, eager=True)
    def report(self):
        raise AssertionError("nobody wants this in a test")


def test_container_is_started_and_stopped_by_hand(memory_config):
    container = ServiceContainer(Rates, config=memory_config)
    assert container.service_name == "rates"

    container.start()
    try:
        with entrypoint_hook(container, "get") as get:
            assert get("inch") == 2.54
    finally:
        container.stop()

    container.wait()  # it has ended: this returns at once


def test_runner_hosts_several_services(memory_config):
    runner = ServiceRunner(memory_config)
    runner.add_service(Converter)
    runner.add_service(Rates)
    assert sorted(runner.service_names) == ["converter", "rates"]

    runner.start()
    with entrypoint_hook(get_container(runner, Converter), "to_cm") as to_cm:
        assert to_cm(2) == 5.08
    runner.stop()

    runner.wait()


def test_services_run_as_long_as_a_block(memory_config):
    with run_services(memory_config, Converter, Rates) as runner:
        with entrypoint_hook(get_container(runner, Converter), "to_cm") as to_cm:
            assert to_cm(1) == 2.54


def test_worker_alone_has_mocks_for_dependencies():
    service = worker_factory(Converter)
    service.rates.get.side_effect = lambda unit: 3

    assert service.to_cm(2) == 6
    service.rates.get.assert_called_once_with("inch")
    service.dispatch.assert_called_once_with("converted", {"inches": 2})


def test_worker_alone_takes_a_dependency_of_the_tests():
    class FixedRates:
        def get(self, unit):
            return 4

    assert worker_factory(Converter, rates=FixedRates()).to_cm(2) == 8


def test_call_and_its_event_are_followed_from_service_to_service(runner_factory, memory_config):
    runner = runner_factory(memory_config, Converter, Rates, Statistics)
    converter, statistics = (get_container(runner, each) for each in (Converter, Statistics))
    restrict_entrypoints(statistics, "count")
    runner.start()

    with entrypoint_waiter(statistics, "count") as counted:
        with entrypoint_hook(converter, "to_cm") as to_cm:
            to_cm(5)

    assert counted.get() == 5


def test_waiter_waits_for_the_worker_that_is_meant(runner_factory, memory_config):
    runner = runner_factory(memory_config, Converter, Rates, Statistics)
    converter, statistics = (get_container(runner, each) for each in (Converter, Statistics))
    restrict_entrypoints(statistics, "count")
    runner.start()

    def is_large(worker_ctx, result, exc_info):
        return result > 2

    with entrypoint_waiter(statistics, "count", callback=is_large) as counted:
        with entrypoint_hook(converter, "to_cm") as to_cm:
            for inches in (1, 2, 3):
                to_cm(inches)

    assert counted.get() == 3


def test_dependencies_are_replaced_before_the_start(container_factory, memory_config):
    container = container_factory(Converter, memory_config)
    rates, dispatch = replace_dependencies(container, "rates", "dispatch")
    rates.get.return_value = 2
    container.start()

    with entrypoint_hook(container, "to_cm") as to_cm:
        assert to_cm(4) == 8

    dispatch.assert_called_once_with("converted", {"inches": 4})


def test_started_container_cannot_be_changed_any_more(container_factory, memory_config):
    container = container_factory(Rates, memory_config)
    container.start()

    with pytest.raises(RuntimeError):
        restrict_entrypoints(container, "get")
    with pytest.raises(RuntimeError):
        replace_dependencies(container, "rates")


def test_method_is_fired_once_with_the_arguments_of_the_test(container_factory):
    class Service:
        name = "service"

        @once("a", second="b")
        def method(self, first, second):
            return first + second

    container = container_factory(Service, {})
    with entrypoint_waiter(container, "method") as method:
        container.start()

    assert method.get() == "ab"


def test_several_entrypoints_fire_one_method(runner_factory, memory_config):
    class Audit:
        name = "audit"

        @rpc
        @event_handler("converter", "converted")
        def note(self, what):
            return what

    runner = runner_factory(memory_config, Converter, Rates, Audit)
    runner.start()
    converter, audit = get_container(runner, Converter), get_container(runner, Audit)

    with entrypoint_waiter(audit, "note") as noted:
        with entrypoint_hook(converter, "to_cm") as to_cm:
            to_cm(1)

    assert noted.get() == {"inches": 1}


def test_failing_worker_leaves_its_service_running(runner_factory, memory_config):
    class Caller:
        name = "caller"
        rates = RpcProxy("rates")

        @rpc
        def ask(self, unit):
            return self.rates.get(unit)

    runner = runner_factory(memory_config, Caller, Rates)
    runner.start()

    with entrypoint_hook(get_container(runner, Caller), "ask") as ask:
        with pytest.raises(RemoteError):
            ask("mile")
        assert ask("inch") == 2.54
