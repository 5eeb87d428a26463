"""The helpers that run one entrypoint at a time, with other dependencies."""

import logging

import pytest
from mock import MagicMock, NonCallableMock

from rpcnode.concurrency import Event, kill, run_in_native_thread, sleep, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import ContainerBeingKilled, ExtensionNotFound, RemoteError, RpcNodeError
from rpcnode.extensions import DependencyProvider, Extension
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing import (
    EntrypointWaiterTimeout,
    dummy,
    entrypoint_hook,
    entrypoint_waiter,
    once,
    replace_dependencies,
    restrict_entrypoints,
    worker_factory,
)
from rpcnode.timer import timer


class Session:
    def query(self, table): ...


class Plain(DependencyProvider):
    """Injects the number of workers so far, and notes what is torn down."""

    def __init__(self):
        self.count = 0

    def get_dependency(self, worker_ctx):
        self.count += 1
        return self.count


class Sessions(DependencyProvider):
    def get_dependency(self, worker_ctx) -> Session:
        return Session()


class Service:
    name = "service"
    plain = Plain()
    sessions = Sessions()

    @dummy
    def method(self, value, factor=1):
        return value * factor

    @dummy
    def failing(self):
        raise ValueError("broken")

    @dummy
    def who(self):
        return self.plain, self.sessions


class Blocked:
    """A service whose method waits until it is told to end, and notes its teardown."""

    def __init__(self, max_workers=10):
        self.running, self.end, self.torn_down = Event(), Event(), Event()
        blocked = self

        class Teardown(DependencyProvider):
            def worker_teardown(self, worker_ctx):
                sleep(0.01)
                blocked.torn_down.set()

        class Service:
            name = "service"
            teardown = Teardown()

            @dummy
            def method(self, value=None):
                blocked.running.set()
                blocked.end.wait()
                return value

        self.container = ServiceContainer(Service, {"MAX_WORKERS": max_workers})
        self.entrypoint = self.container.entrypoints[0]

    def fire(self, *args):
        return self.container.spawn_worker(self.entrypoint, args, {})


@pytest.fixture
def container(container_factory):
    return container_factory(Service)


@pytest.fixture
def blocked():
    made = Blocked()
    yield made
    made.container.kill()


# worker_factory


def test_worker_gets_the_dependencies_it_is_given():
    service = worker_factory(Service, plain=None, sessions=0)

    assert isinstance(service, Service)
    assert service.plain is None
    assert service.sessions == 0


def test_worker_gets_a_mock_for_every_other_dependency():
    first, second = worker_factory(Service), worker_factory(Service)

    assert isinstance(first.plain, MagicMock)
    assert "plain" in repr(first.plain)
    assert first.plain is not second.plain
    assert isinstance(Service.plain, Plain)


def test_worker_cannot_be_given_what_is_no_dependency():
    with pytest.raises(ExtensionNotFound, match="no dependency 'other' in Service"):
        worker_factory(Service, other=1)


def test_inherited_dependencies_are_replaced_as_well():
    class Derived(Service):
        plain = None

    service = worker_factory(Derived)

    assert service.plain is None
    assert isinstance(service.sessions, NonCallableMock)


# entrypoint_hook


def test_hook_runs_the_method_in_a_worker_and_returns_its_result(container):
    container.start()

    with entrypoint_hook(container, "method") as method:
        results = [method(2), method(2, factor=3), method(value="a")]

    assert results == [2, 6, "a"]
    with entrypoint_hook(container, "who") as who:
        count, session = who()
    assert count == 4
    assert isinstance(session, Session)


def test_hook_works_on_a_container_that_was_not_started(container_factory):
    class Service:
        name = "service"

        @dummy
        def method(self, value):
            return value

    container = container_factory(Service)

    with entrypoint_hook(container, "method") as method:
        assert method(3) == 3
    assert not container.started


def test_hook_raises_the_very_exception_of_the_method(container_factory):
    error = OSError("broken")

    class Service:
        name = "service"

        @dummy
        def method(self):
            raise error

    with entrypoint_hook(container_factory(Service), "method") as method:
        with pytest.raises(OSError, match="broken") as caught:
            method()

    assert caught.value is error
    assert "method" in [entry.name for entry in caught.traceback]


def test_hook_raises_what_does_not_fit_the_method(container):
    with entrypoint_hook(container, "method") as method, pytest.raises(TypeError):
        method()


def test_hook_needs_a_method_with_an_entrypoint(container):
    with pytest.raises(ExtensionNotFound, match="no entrypoint 'other' in <ServiceContainer serv"):
        entrypoint_hook(container, "other").__enter__()


def test_hook_fires_the_first_entrypoint_of_the_method_and_handles_no_result(container_factory):
    class Service:
        name = "service"

        @timer(interval=30, expected_exceptions=ValueError)
        @dummy
        def method(self):
            return "result"

    container = container_factory(Service)
    contexts = []
    container.observers.add(Recorder(contexts))

    with entrypoint_hook(container, "method") as method:
        method()

    assert [worker_ctx.entrypoint for worker_ctx in contexts] == container.entrypoints[:1]


class Recorder:
    """An observer that notes what finishes."""

    def __init__(self, contexts):
        self.contexts = contexts

    def worker_finished(self, worker_ctx):
        self.contexts.append(worker_ctx)


def test_hook_passes_context_data_on(container_factory):
    class Context(DependencyProvider):
        def get_dependency(self, worker_ctx):
            return worker_ctx

    class Service:
        name = "service"
        context = Context()

        @dummy
        def method(self):
            return self.context

    container = container_factory(Service)
    data = {"language": "en", "call_id_stack": ["outer"]}

    with entrypoint_hook(container, "method", context_data=data) as method:
        worker_ctx = method()

    assert worker_ctx.data["language"] == "en"
    assert worker_ctx.immediate_parent_call_id == "outer"


def test_hook_returns_when_the_worker_is_torn_down(blocked):
    with entrypoint_hook(blocked.container, "method") as method:
        blocked.end.set()
        result = method("value")

    assert result == "value"
    assert blocked.torn_down.is_set()


def test_hooks_of_several_workers_at_once_return_their_own_results(container_factory):
    class Service:
        name = "service"

        @dummy
        def method(self, number):
            sleep(0.01 / (number + 1))
            return number

    container = container_factory(Service, {"MAX_WORKERS": 2})

    with entrypoint_hook(container, "method") as method:
        threads = [spawn(method, number) for number in range(6)]
        results = [thread.wait() for thread in threads]

    assert results == list(range(6))


def test_hook_gives_up_after_its_timeout(blocked):
    with entrypoint_hook(blocked.container, "method", timeout=0.01) as method:
        with pytest.raises(EntrypointWaiterTimeout) as caught:
            method()

    assert str(caught.value) == "Timeout on service.method after 0.01 seconds"


def test_timeout_of_a_hook_covers_the_waiting_for_a_free_worker():
    blocked = Blocked(max_workers=1)
    blocked.fire()

    with entrypoint_hook(blocked.container, "method", timeout=0.01) as method:
        with pytest.raises(EntrypointWaiterTimeout):
            method()

    assert blocked.container.default_lane.pending == 0
    blocked.container.kill()


def test_hook_raises_what_the_container_dies_of(blocked):
    error = OSError("died")
    with entrypoint_hook(blocked.container, "method") as method:
        thread = spawn(lambda: pytest.raises(OSError, method))
        assert blocked.running.wait(5)
        blocked.container.kill((OSError, error, None))

        assert thread.wait().value is error


def test_hook_raises_what_the_container_dies_of_while_it_waits_for_a_worker():
    blocked = Blocked(max_workers=1)
    blocked.fire()
    with entrypoint_hook(blocked.container, "method") as method:
        thread = spawn(lambda: pytest.raises(OSError, method))
        while not blocked.container.default_lane.pending:
            sleep()
        blocked.container.kill((OSError, OSError("died"), None))

        assert str(thread.wait().value) == "died"


def test_hook_raises_when_the_container_ends_without_an_error(blocked):
    with entrypoint_hook(blocked.container, "method") as method:
        thread = spawn(lambda: pytest.raises(ContainerBeingKilled, method))
        assert blocked.running.wait(5)
        blocked.container.kill()

        assert "<ServiceContainer service> has ended" in str(thread.wait().value)


def test_hook_raises_when_the_container_is_killed_before_the_worker_begins(blocked):
    with entrypoint_hook(blocked.container, "method") as method:
        thread = spawn(lambda: pytest.raises(ContainerBeingKilled, method))
        while not blocked.container.default_lane.threads:
            sleep()
        blocked.container.kill()

        thread.wait()
    assert not blocked.running.is_set()


def test_hook_raises_on_a_container_that_has_ended(container):
    container.start()
    container.stop()

    with entrypoint_hook(container, "method") as method, pytest.raises(ContainerBeingKilled):
        method(1)


def test_hook_raises_when_its_worker_is_killed(blocked):
    with entrypoint_hook(blocked.container, "method") as method:
        thread = spawn(lambda: pytest.raises(RpcNodeError, method))
        assert blocked.running.wait(5)
        (worker,) = blocked.container.default_lane.threads
        kill(worker)

        assert "worker service.method." in str(thread.wait().value)


def outcome_in_a_native_thread(function):
    outcome = run_in_native_thread(function)
    assert outcome.wait(10)
    return outcome.result()


def test_hook_of_a_started_container_is_refused_in_another_native_thread(container, caplog):
    container.start()

    with (
        entrypoint_hook(container, "method") as method,
        pytest.raises(RuntimeError, match="use it in the thread that started the container"),
    ):
        outcome_in_a_native_thread(lambda: method("value"))

    assert caplog.messages == []
    assert not container.observers.worker_completed


def test_hook_of_a_container_that_was_not_started_works_in_any_native_thread(container):
    def run():
        with entrypoint_hook(container, "method", timeout=5) as method:
            return method("value")

    result = outcome_in_a_native_thread(run)

    assert result == "value"


def test_waiter_of_a_started_container_is_refused_in_another_native_thread(container):
    def wait():
        with entrypoint_waiter(container, "method", timeout=5):
            pass

    container.start()

    with pytest.raises(RuntimeError, match="use it in the thread that started the container"):
        outcome_in_a_native_thread(wait)


def test_hook_leaves_no_observer_behind(container):
    with (
        entrypoint_hook(container, "failing") as failing,
        pytest.raises(ValueError, match="broken"),
    ):
        failing()

    assert container.observers.worker_completed == ()
    assert container.observers.worker_finished == ()


# entrypoint_waiter


def test_waiter_waits_until_the_worker_is_torn_down(blocked):
    with entrypoint_waiter(blocked.container, "method") as result:
        blocked.fire("value")
        assert not result.has_result
        with pytest.raises(result.NotReady):
            result.get()
        blocked.end.set()

    assert blocked.torn_down.is_set()
    assert result.get() == "value"


def test_waiter_hears_of_workers_that_a_real_entrypoint_fires(container_factory):
    class Service:
        name = "service"

        @timer(interval=0.01)
        def tick(self):
            return "tick"

    container = container_factory(Service)

    with entrypoint_waiter(container, "tick") as result:
        container.start()

    assert result.get() == "tick"


def test_waiter_does_not_raise_what_the_method_raises_until_it_is_asked(container):
    with entrypoint_waiter(container, "failing") as result:
        container.spawn_worker(container.entrypoints[1], (), {})

    with pytest.raises(ValueError, match="broken"):
        result.get()


def test_waiter_does_not_count_workers_of_other_methods(container):
    method, failing, _who = container.entrypoints
    with entrypoint_waiter(container, "method") as result:
        container.spawn_worker(failing, (), {})
        container.spawn_worker(method, (1,), {})

    assert result.get() == 1


def test_waiter_waits_for_the_worker_that_its_callback_chooses(container):
    seen = []

    def is_it(worker_ctx, result, exc_info):
        seen.append((worker_ctx.args, result, exc_info))
        return result == 2

    with entrypoint_waiter(container, "method", callback=is_it) as result:
        for number in range(4):
            container.spawn_worker(container.entrypoints[0], (number,), {})

    assert result.get() == 2
    assert seen == [((number,), number, None) for number in range(3)]


def test_callback_of_a_waiter_sees_errors(container):
    seen = []

    with entrypoint_waiter(container, "failing", callback=lambda *args: seen.append(args) or True):
        container.spawn_worker(container.entrypoints[1], (), {})

    ((_worker_ctx, result, exc_info),) = seen
    assert result is None
    assert exc_info[0] is ValueError


def test_waiter_raises_what_its_callback_raises(container):
    def broken(worker_ctx, result, exc_info):
        raise AssertionError("wrong value")

    with pytest.raises(AssertionError, match="wrong value"):
        with entrypoint_waiter(container, "method", callback=broken):
            container.spawn_worker(container.entrypoints[0], (1,), {})


def test_waiters_can_be_nested(container):
    with entrypoint_waiter(container, "method") as outer, entrypoint_waiter(container, "who"):
        container.spawn_worker(container.entrypoints[2], (), {})
        container.spawn_worker(container.entrypoints[0], (1,), {})

    assert outer.get() == 1


def test_waiter_gives_up_after_its_timeout(container):
    with pytest.raises(entrypoint_waiter.Timeout) as caught:
        with entrypoint_waiter(container, "method", timeout=0.01):
            pass

    assert str(caught.value) == "Timeout on service.method after 0.01 seconds"


def test_timeout_of_a_waiter_covers_its_block(container):
    with pytest.raises(EntrypointWaiterTimeout):
        with entrypoint_waiter(container, "method", timeout=0.01):
            Event().wait()


def test_error_in_the_block_is_raised_at_once(container):
    with pytest.raises(KeyError), entrypoint_waiter(container, "method", timeout=None):
        raise KeyError

    assert container.observers.worker_completed == ()


def test_waiter_needs_a_method_with_an_entrypoint(container):
    with pytest.raises(RuntimeError, match="service has no entrypoint `other`"):
        entrypoint_waiter(container, "other").__enter__()


def test_waiter_raises_what_the_container_dies_of(container):
    with pytest.raises(OSError, match="died"):
        with entrypoint_waiter(container, "method", timeout=None):
            container.kill((OSError, OSError("died"), None))


def test_waiter_raises_when_the_container_stops_before_the_worker(container):
    container.start()

    with pytest.raises(ContainerBeingKilled):
        with entrypoint_waiter(container, "method", timeout=None):
            container.stop()


def test_waiter_has_its_result_though_the_container_stops_afterwards(container):
    container.start()

    with entrypoint_waiter(container, "method") as result:
        container.spawn_worker(container.entrypoints[0], (1,), {})
        container.stop()

    assert result.get() == 1


# replace_dependencies


def test_one_replaced_dependency_is_returned_and_injected(container):
    mock = replace_dependencies(container, "plain")
    container.start()

    with entrypoint_hook(container, "who") as who:
        plain, session = who()

    assert plain is mock
    assert isinstance(mock, MagicMock)
    assert isinstance(session, Session)


def test_several_replaced_dependencies_are_returned_in_their_order(container):
    sessions, plain = replace_dependencies(container, "sessions", "plain")

    with entrypoint_hook(container, "who") as who:
        assert who() == (plain, sessions)
    assert isinstance(sessions, Session)


def test_dependency_can_be_replaced_by_an_object(container):
    rest = replace_dependencies(container, sessions=None, plain=7)

    with entrypoint_hook(container, "who") as who:
        assert who() == (7, None)
    assert list(rest) == []


def test_names_and_objects_can_be_mixed(container):
    mock = replace_dependencies(container, "plain", sessions="fake")

    with entrypoint_hook(container, "who") as who:
        assert who() == (mock, "fake")


def test_dependency_cannot_be_replaced_in_two_ways(container):
    with pytest.raises(RuntimeError, match="both args and kwargs"):
        replace_dependencies(container, "plain", plain=1)


@pytest.mark.parametrize(("names", "replacements"), [(["other"], {}), ([], {"other": 1})])
def test_only_dependencies_can_be_replaced(container, names, replacements):
    with pytest.raises(ExtensionNotFound, match="no dependency 'other' in <ServiceContainer serv"):
        replace_dependencies(container, *names, **replacements)


def test_nothing_is_replaced_when_one_name_is_wrong(container):
    before = list(container.dependencies)

    with pytest.raises(ExtensionNotFound):
        replace_dependencies(container, "plain", "other")

    assert container.dependencies == before


def test_dependency_cannot_be_replaced_after_the_start(container):
    container.start()

    with pytest.raises(RuntimeError, match=r"Cannot replace dependencies: .* has been started"):
        replace_dependencies(container, "plain")


def test_what_a_replaced_provider_uses_is_not_set_up(container_factory):
    set_up = []

    class Part(Extension):
        def setup(self):
            set_up.append(self)

    class Whole(DependencyProvider):
        part = Part()

    class Service:
        name = "service"
        whole = Whole()

    container = container_factory(Service)
    replace_dependencies(container, "whole")
    container.start()

    assert set_up == []


def test_stand_in_keeps_the_place_of_what_it_replaces(container):
    replace_dependencies(container, "plain")

    assert [provider.attr_name for provider in container.dependencies] == ["plain", "sessions"]
    assert repr(container.dependencies[0]) == "<MockDependencyProvider service.plain>"


def test_stand_in_injects_a_mock_that_passes_for_an_extension(container):
    fake = MagicMock(spec=DependencyProvider)

    replace_dependencies(container, plain=fake)

    with entrypoint_hook(container, "who") as who:
        assert who()[0] is fake


# restrict_entrypoints


def test_all_entrypoints_but_those_of_the_methods_named_are_removed(container_factory):
    class Service:
        name = "service"

        @timer(interval=30)
        @dummy
        def both(self): ...

        @once
        def other(self): ...

    container = container_factory(Service)
    both = container.entrypoints[:2]

    restrict_entrypoints(container, "both")

    assert container.entrypoints == both


def test_no_names_remove_all_entrypoints(container):
    restrict_entrypoints(container)

    assert container.entrypoints == []


def test_entrypoints_can_be_restricted_to_what_is_there(container):
    with pytest.raises(ExtensionNotFound, match="no entrypoint 'other'"):
        restrict_entrypoints(container, "method", "other")

    assert len(container.entrypoints) == 3


def test_entrypoints_cannot_be_restricted_after_the_start(container):
    container.start()

    with pytest.raises(RuntimeError, match="Cannot restrict entrypoints"):
        restrict_entrypoints(container, "method")


# once and dummy


def test_once_fires_once_at_the_start_with_its_arguments(container_factory):
    class Service:
        name = "service"

        @once("a", key="b")
        def method(self, value, key):
            return value, key

    container = container_factory(Service)
    contexts = []
    container.observers.add(Recorder(contexts))

    with entrypoint_waiter(container, "method") as result:
        container.start()
    container.stop()

    assert result.get() == ("a", "b")
    assert len(contexts) == 1


def test_once_needs_no_arguments_and_may_stand_several_times(container_factory):
    calls = []

    class Service:
        name = "service"

        @once
        def bare(self):
            calls.append("bare")

        @once(1)
        @once(2)
        def twice(self, number):
            calls.append(number)

    container = container_factory(Service, {"MAX_WORKERS": 1})
    with entrypoint_waiter(container, "twice", callback=lambda *_: len(calls) == 3):
        container.start()

    assert sorted(calls, key=str) == [1, 2, "bare"]


def test_once_has_the_options_of_entrypoints(container_factory, caplog):
    class Service:
        name = "service"

        @once("secret", expected_exceptions=ValueError, sensitive_arguments=("value",))
        def method(self, value):
            raise ValueError(value)

    container = container_factory(Service)
    with caplog.at_level(logging.WARNING), entrypoint_waiter(container, "method"):
        container.start()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert container.entrypoints[0].sensitive_arguments == ("value",)


def test_once_does_not_fire_when_the_container_stops_first():
    blocked = Blocked(max_workers=1)
    fired = []

    class Service(blocked.container.service_cls):
        @once
        def method_at_start(self):
            fired.append(1)

    container = ServiceContainer(Service, {"MAX_WORKERS": 1})
    container.spawn_worker(container.entrypoints[0], (), {})
    container.start()
    assert container.default_lane.pending == 1

    container.kill()

    assert fired == []


def test_dummy_never_fires_by_itself(container_factory):
    class Service:
        name = "service"

        @dummy
        def method(self):
            return "fired"

    container = container_factory(Service)
    container.start()

    with pytest.raises(EntrypointWaiterTimeout):
        with entrypoint_waiter(container, "method", timeout=0.01):
            pass


# through the whole stack


class Stock:
    name = "stock"

    @rpc
    def reserve(self, sku):
        if sku == "nothing":
            raise LookupError(sku)
        return f"one {sku}"


class Orders:
    name = "orders"
    stock = RpcProxy("stock")
    dispatch = EventDispatcher()

    @rpc
    def place(self, sku):
        goods = self.stock.reserve(sku)
        self.dispatch("placed", goods)
        return goods

    @event_handler("orders", "placed")
    def check(self, payload):
        return payload


@pytest.fixture
def shop(runner_factory, memory_config):
    runner = runner_factory(memory_config, Orders, Stock)
    runner.start()
    return runner.service_map


def test_worker_gets_mocks_for_proxy_and_dispatcher():
    orders = worker_factory(Orders)
    orders.stock.reserve.return_value = "one plum"

    assert orders.place("plum") == "one plum"
    orders.stock.reserve.assert_called_once_with("plum")
    orders.dispatch.assert_called_once_with("placed", "one plum")


def test_hook_of_one_service_calls_another(shop):
    with entrypoint_waiter(shop["stock"], "reserve") as reserved:
        with entrypoint_hook(shop["orders"], "place") as place:
            assert place("plum") == "one plum"

    assert reserved.get() == "one plum"


def test_error_is_remote_for_the_caller_and_the_very_one_for_the_callee(shop):
    with entrypoint_hook(shop["orders"], "place") as place, pytest.raises(RemoteError):
        place("nothing")
    with entrypoint_hook(shop["stock"], "reserve") as reserve, pytest.raises(LookupError):
        reserve("nothing")


def test_waiter_hears_of_the_handler_of_an_event(shop):
    with entrypoint_waiter(shop["orders"], "check", timeout=5) as checked:
        with entrypoint_hook(shop["orders"], "place") as place:
            place("plum")

    assert checked.get() == "one plum"


def test_replaced_proxy_is_not_called_over_the_broker(container_factory, memory_config):
    container = container_factory(Orders, memory_config)
    stock = replace_dependencies(container, "stock")
    stock.reserve.return_value = "two plums"
    container.start()

    with entrypoint_waiter(container, "check", timeout=5) as checked:
        with entrypoint_hook(container, "place") as place:
            place("plum")

    assert checked.get() == "two plums"
    assert [each for each in container.subextensions if "Reply" in type(each).__name__] == []
