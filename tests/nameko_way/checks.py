"""The tests of warehouse.py, as a team wrote them for Nameko 2."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from queue import Empty

import pytest
import yaml
from mock import ANY, call, patch
from nameko.constants import HEADER_PREFIX
from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import ExtensionNotFound, RemoteError
from nameko.rpc import RpcProxy, rpc
from nameko.runners import ServiceRunner, run_services
from nameko.standalone.events import event_dispatcher
from nameko.standalone.rpc import ClusterRpcProxy, ServiceRpcProxy
from nameko.testing.services import (
    dummy,
    entrypoint_hook,
    entrypoint_waiter,
    once,
    replace_dependencies,
    restrict_entrypoints,
    worker_factory,
)
from nameko.testing.utils import (
    AnyInstanceOf,
    DummyProvider,
    assert_stops_raising,
    find_free_port,
    get_container,
    get_extension,
    get_rabbit_connections,
)
from nameko.testing.waiting import wait_for_call
from warehouse import Counter, Journal, OnWord, OutOfStock, Stock, Ticker, Watcher

NAMEKO = [sys.executable, "-m", "nameko"]
HERE = str(Path(__file__).parent)


@pytest.fixture(scope="session")
def settings():
    shown = subprocess.check_output(
        [*NAMEKO, "show-config", "--config", "warehouse.yaml"],
        cwd=HERE,
        env=dict(os.environ, WAREHOUSE_WORKERS="3"),
    )
    return yaml.safe_load(shown)


@pytest.fixture
def config(settings, rabbit_config, web_config):
    config = dict(settings)
    config.update(rabbit_config)
    config.update(web_config)
    return config


@pytest.fixture
def stock(container_factory, config):
    container = container_factory(Stock, config)
    container.start()
    return container


def test_taking_one_thing_without_any_broker():
    service = worker_factory(Stock, shelves={"tea": 2})

    assert service.take("tea") == 1
    service.dispatch.assert_called_once_with("taken", {"name": "tea", "count": 1})
    service.print_label.assert_called_once_with({"name": "tea"}, routing_key="labels")
    with pytest.raises(OutOfStock):
        service.take("tea", count=5)


def test_counter_asks_the_stock():
    service = worker_factory(Counter)
    service.stock.greeting.call_async.return_value.result.return_value = "Hello"

    assert service.greet(None) == (200, {"X-Service": "counter"}, "Hello")
    assert service.stock.greeting.call_async.mock_calls == [call(), call().result()]


def test_unknown_dependency_is_refused():
    with pytest.raises(ExtensionNotFound):
        worker_factory(Stock, shelf={})


def test_hook_runs_a_method_with_a_context(stock):
    with entrypoint_hook(stock, "greeting", context_data={"language": "de"}) as greeting:
        assert greeting() == "Guten Tag"
    with entrypoint_hook(stock, "greeting") as greeting:
        assert greeting() == "Hello"


def test_configuration_comes_from_the_file(stock):
    assert stock.max_workers == 3
    assert stock.serializer == "json"
    assert stock.config["parent_calls_tracked"] == 5
    with entrypoint_hook(stock, "exchange") as exchange:
        assert list(exchange()) == ["warehouse-rpc", 3]


def test_journal_has_what_was_called_without_the_secret(stock):
    journal = get_extension(stock, Journal, attr_name="journal")

    with entrypoint_hook(stock, "take") as take:
        take("tea", token="secret")
        with pytest.raises(OutOfStock):
            take("cups", 3, token="secret")

    outcomes = [entry[1:] for entry in journal.entries if entry[0] == "take"]
    assert outcomes == [
        ({"name": "tea", "count": "1", "token": "********"}, 2),
        ({"name": "cups", "count": "3", "token": "********"}, "OutOfStock"),
    ]
    assert journal.entries.count(("stock", "torn down")) == 2


def test_call_ids_are_predictable(predictable_call_ids, container_factory, rabbit_config):
    class Service:
        name = "service"
        journal = Journal()

        @dummy
        def method(self):
            self.journal("here")

    container = container_factory(Service, rabbit_config)
    with entrypoint_hook(container, "method") as method:
        method()

    journal = get_extension(container, Journal)
    assert ("service.method.0", "here") in journal.entries


def test_dependencies_are_replaced(container_factory, config):
    container = container_factory(Stock, config)
    dispatch, print_label = replace_dependencies(container, "dispatch", "print_label")
    replace_dependencies(container, shelves={"pots": 9})
    container.start()

    with ServiceRpcProxy("stock", config) as proxy:
        assert proxy.take("pots", count=2) == 7
        with pytest.raises(OutOfStock) as caught:
            proxy.take("pots", count=8)
        with pytest.raises(RemoteError) as remote:
            proxy.take("pots", count="many")

    assert caught.value.args == ("pots", "8")
    assert remote.value.exc_type == "TypeError"
    dispatch.assert_called_once_with("taken", {"name": "pots", "count": 2})
    print_label.assert_called_once_with(ANY, routing_key="labels")
    with pytest.raises(RuntimeError):
        replace_dependencies(container, "dispatch")


def test_own_entrypoint_fires_with_its_context(container_factory, config):
    container = container_factory(Stock, config)
    restrict_entrypoints(container, "restock")
    container.start()
    ticker = get_extension(container, Ticker)
    entrypoint = get_extension(container, OnWord, word="restock")

    with entrypoint_waiter(container, "restock", timeout=10) as waiter:
        ticker.tell("something else")
        ticker.tell("restock")

    assert waiter.get() == "restock in fr"
    assert entrypoint.results == ["restock in fr"]
    assert get_extension(container, OnWord, word="other") is None
    with pytest.raises(ExtensionNotFound):
        with entrypoint_hook(container, "greeting"):
            pass


def test_event_reaches_every_kind_of_handler(runner_factory, config):
    runner = runner_factory(config, Stock, Watcher)
    runner.start()
    stock, watcher = get_container(runner, Stock), get_container(runner, Watcher)

    def took_two(worker_ctx, result, exc_info):
        return result == 2

    with entrypoint_waiter(watcher, "count", timeout=10, callback=took_two) as counted:
        with entrypoint_waiter(watcher, "once_for_all", timeout=10) as named:
            with entrypoint_waiter(watcher, "everywhere", timeout=10) as told:
                with entrypoint_waiter(watcher, "show", timeout=10) as label:
                    with entrypoint_hook(stock, "take") as take:
                        take("tea")
                        take("cups", count=2)

    assert counted.get() == 2
    assert named.get() == "tea"
    assert told.get() == {"name": "tea", "count": 1}
    assert label.get() == "tea"


def test_event_may_come_from_a_program(container_factory, config):
    container = container_factory(Watcher, config)
    container.start()
    dispatch = event_dispatcher(config)

    with entrypoint_waiter(container, "count", timeout=10) as counted:
        dispatch("stock", "taken", {"name": "tea", "count": 5})

    assert counted.get() == 5


def test_timer_ticks(container_factory, config):
    container = container_factory(Watcher, config)
    restrict_entrypoints(container, "tick")
    container.start()

    with entrypoint_waiter(container, "tick", timeout=10):
        pass

    assert get_extension(container, Journal).entries


def test_label_is_printed(stock, get_message_from_queue, rabbit_manager, rabbit_config):
    with entrypoint_hook(stock, "take", context_data={"user_id": 7}) as take:
        take("tea")

    message = get_message_from_queue("labels")
    assert message.payload == {"name": "tea"}
    assert message.headers[HEADER_PREFIX + ".user_id"] == 7
    with pytest.raises(Empty):
        get_message_from_queue("labels", block=False)
    queues = [queue["name"] for queue in rabbit_manager.get_queues(rabbit_config["vhost"])]
    assert {"labels", "rpc-stock"} <= set(queues)


def test_goods_are_sold_over_http(runner_factory, config, web_session):
    runner_factory(config, Stock, Counter).start()

    sold = web_session.post("/goods/tea", json={"count": 2})
    refused = web_session.post("/goods/tea", json={"count": 2})
    greeting = web_session.get("/greeting")

    assert (sold.status_code, sold.json()) == (200, {"left": 1})
    assert (refused.status_code, refused.json()) == (409, {"error": "OutOfStock"})
    assert (greeting.text, greeting.headers["X-Service"]) == ("Hello", "counter")
    assert web_session.get("/flaky").text == "3"
    assert web_session.get("/nowhere").status_code == 404


def test_all_services_are_called_by_one_client(config):
    with run_services(config, Stock, kill_on_exit=True) as runner:
        assert isinstance(runner, ServiceRunner)
        with ClusterRpcProxy(config, context_data={"language": "fr"}, timeout=10) as cluster:
            assert cluster.stock.greeting() == "Bonjour"
            assert cluster["stock"].take.call_async("tea").result() == 2


def test_worker_is_fired_at_the_start(container_factory, rabbit_config):
    class Service:
        name = "service"
        seen = []

        @once("tea", count=2)
        def method(self, name, count):
            self.keep(name, count)

        def keep(self, name, count):
            self.seen.append((name, count))

    container = container_factory(Service, rabbit_config)

    with wait_for_call(Service, "keep") as kept:
        container.start()

    assert kept.get() is None
    assert Service.seen == [("tea", 2)]


def test_service_may_call_itself(container_factory, rabbit_config):
    class Service:
        name = "service"
        me = RpcProxy("service")

        @rpc
        def outer(self, number):
            return self.me.inner(number) + 1

        @rpc
        def inner(self, number):
            return number * 2

    container = container_factory(Service, rabbit_config)
    container.start()

    with entrypoint_hook(container, "outer") as outer:
        assert outer(4) == 9


def test_extension_alone(mock_container):
    mock_container.service_name = "service"
    mock_container.shared_extensions = {}
    mock_container.config["parent_calls_tracked"] = 1

    entrypoint = OnWord("tea").bind(mock_container, "method")
    with patch.object(entrypoint, "check_signature"):
        entrypoint.run()
    context = WorkerContext(mock_container, None, DummyProvider("method"), data={"user_id": 1})

    assert mock_container.spawn_worker.mock_calls == [
        call(entrypoint, ("tea",), {}, context_data=ANY, handle_result=ANY)
    ]
    assert context.data["user_id"] == 1
    assert context.call_id_stack == [context.call_id]


def test_broker_sees_the_container(stock, rabbit_config, rabbit_manager):
    def is_connected():
        assert get_rabbit_connections(rabbit_config["vhost"], rabbit_manager)

    assert_stops_raising(is_connected, AssertionError, timeout=20)
    assert AnyInstanceOf(ServiceContainer) == stock


def test_services_run_by_the_command(rabbit_config):
    port = find_free_port()
    environment = dict(
        os.environ,
        WAREHOUSE_AMQP_URI=rabbit_config["AMQP_URI"],
        WAREHOUSE_ADDRESS=f"127.0.0.1:{port}",
    )
    command = [*NAMEKO, "run", "--config", "warehouse.yaml", "warehouse:Stock", "warehouse:Counter"]
    process = subprocess.Popen(command, cwd=HERE, env=environment)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/greeting", b"Hello")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def wait_for_answer(url, answer):
    give_up = time.time() + 20
    while True:
        try:
            assert urllib.request.urlopen(url, timeout=10).read() == answer
            return
        except urllib.error.URLError:
            if time.time() > give_up:
                raise
        time.sleep(0.1)  # until it is asked again
