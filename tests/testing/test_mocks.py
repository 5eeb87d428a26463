"""What stands in for dependencies."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from mock import MagicMock, call

from rpcnode.containers import ServiceContainer, WorkerContext
from rpcnode.dependency_providers import Config
from rpcnode.extensions import DependencyProvider, Entrypoint
from rpcnode.rpc import Rpc
from rpcnode.testing import MockDependencyProvider, StrictMock, worker_factory


class Session:
    def query(self, table): ...


class Dynamic:
    def __getattr__(self, name): ...


class Sessions(DependencyProvider):
    def get_dependency(self, worker_ctx) -> Session:
        return Session()


class Service:
    name = "service"
    plain = DependencyProvider()
    sessions = Sessions()


def test_mock_has_the_specification_of_a_known_type():
    service = worker_factory(Service)

    service.sessions.query.return_value = ["row"]

    assert service.sessions.query("table") == ["row"]
    assert isinstance(service.sessions, Session)
    with pytest.raises(TypeError, match="argument"):
        service.sessions.query()
    with pytest.raises(AttributeError, match="update"):
        service.sessions.update("table")


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        None,
        object,
        Dynamic,
        Session | None,
        type[Session],
        Callable[[], int],
        "Unknown",
        "Nowhere",
        "not an expression",
    ],
)
def test_mock_takes_anything_where_the_type_tells_too_little(annotation):
    class Provider(DependencyProvider):
        def get_dependency(self, worker_ctx):
            return None

    Provider.get_dependency.__annotations__["return"] = annotation

    class Service:
        name = "service"
        dependency = Provider()

    service = worker_factory(Service)

    service.dependency(1).anything("goes")
    assert service.dependency.mock_calls == [call(1), call().anything("goes")]


def test_parametrised_type_is_known_as_well():
    class Provider(DependencyProvider):
        def get_dependency(self, worker_ctx) -> Mapping[str, int]: ...

    class Service:
        name = "service"
        numbers = Provider()

    service = worker_factory(Service)
    service.numbers.__getitem__.return_value = 3

    assert service.numbers["any"] == 3
    assert not hasattr(service.numbers, "update")


def test_strict_mock_fails_where_it_was_not_prepared():
    service = worker_factory(Service, plain=StrictMock(name="plain"))
    service.plain.add.return_value = 5
    service.plain.ask.return_value.answer.return_value = 6
    service.plain.divide.side_effect = ZeroDivisionError

    assert service.plain.add(2, 3) == 5
    assert service.plain.ask().answer() == 6
    with pytest.raises(ZeroDivisionError):
        service.plain.divide(1)
    with pytest.raises(AssertionError, match=r"unexpected call\(2, b=3\) of .*'plain\.subtract'"):
        service.plain.subtract(2, b=3)
    with pytest.raises(AssertionError, match=r"unexpected call\(\) of .*'plain'"):
        service.plain()
    with pytest.raises(AssertionError, match=r"'plain\.__getitem__'"):
        service.plain["key"]
    with pytest.raises(AssertionError, match=r"'plain\.ask\(\)\.other'"):
        service.plain.ask().other()


def test_strict_mock_is_a_mock_in_all_else():
    mock = StrictMock(return_value=1, spec=Session)

    assert mock(2) == 1
    mock.assert_called_once_with(2)
    assert isinstance(mock, Session)
    assert bool(mock)
    with pytest.raises(AttributeError, match="update"):
        mock.update("table")
    with pytest.raises(AssertionError, match=r"mock\.query"):
        mock.query("table")


def test_mock_provider_has_a_mock_unless_it_is_given_something():
    assert isinstance(MockDependencyProvider("name").dependency, MagicMock)
    assert MockDependencyProvider("name", None).dependency is None
    assert MockDependencyProvider("name", dependency=0).dependency == 0


def test_extensions_can_be_bound_to_the_mock_of_a_container(mock_container):
    entrypoint = Rpc().bind(mock_container, "method")
    provider = Config().bind(mock_container, "config")

    assert entrypoint.container is mock_container
    assert entrypoint.rpc_consumer is Rpc().bind(mock_container, "other").rpc_consumer
    assert entrypoint.lane.max_workers == 10
    assert provider.get_dependency(None)["serializer"] == "json"
    assert repr(entrypoint) == "<Rpc service.method>"


def test_mock_of_a_container_gives_a_context_and_notes_what_is_asked_of_it(mock_container):
    mock_container.service_name = "orders"
    mock_container.config["PARENT_CALLS_TRACKED"] = 0
    entrypoint = Entrypoint().bind(mock_container, "place")

    context = WorkerContext(mock_container, None, entrypoint, data={"call_id_stack": ["a"]})
    mock_container.spawn_worker(entrypoint, (1,), {})

    assert len(context.call_id_stack) == 1
    assert context.call_id.startswith("orders.place.")
    mock_container.spawn_worker.assert_called_once_with(entrypoint, (1,), {})
    assert isinstance(mock_container, ServiceContainer)
    with pytest.raises(TypeError):
        mock_container.spawn_worker()
    with pytest.raises(AttributeError):
        mock_container.no_such_thing
