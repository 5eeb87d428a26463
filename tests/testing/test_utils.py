"""Small things for tests."""

import functools
import socket

import pytest
from mock import Mock, call

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.extensions import DependencyProvider, SharedExtension
from rpcnode.testing.services import dummy, once
from rpcnode.testing.utils import (
    ANY_PARTIAL,
    AnyInstanceOf,
    DummyProvider,
    assert_stops_raising,
    find_free_port,
    get_container,
    get_extension,
    unpack_mock_call,
    wait_for_call,
    wait_for_worker_idle,
)


class Shared(SharedExtension):
    pass


class Provider(DependencyProvider):
    shared = Shared()


class Service:
    name = "service"
    first, second = Provider(), Provider()

    @dummy
    def method(self): ...


class Other:
    name = "other"


def test_extension_of_a_container_is_found_by_class_and_attributes(container_factory):
    container = container_factory(Service)

    assert get_extension(container, Provider) is container.dependencies[0]
    assert get_extension(container, Provider, attr_name="second") is container.dependencies[1]
    assert get_extension(container, Shared) is container.subextensions[0]
    assert get_extension(container, Provider, attr_name="third") is None


def test_extension_without_the_attribute_is_an_error(container_factory):
    with pytest.raises(AttributeError, match="colour"):
        get_extension(container_factory(Service), Provider, colour="red")


def test_container_of_a_runner_is_found_by_service_class(runner_factory):
    runner = runner_factory(Service)

    assert get_container(runner, Service) is runner.containers[0]
    assert get_container(runner, Other) is None


def test_dummy_provider_is_an_entrypoint_that_can_be_bound(container_factory):
    container = container_factory(Service)

    assert DummyProvider("method").method_name == "method"
    assert DummyProvider().bind(container, "method").method_name == "method"


def test_free_port_can_be_listened_on():
    port = find_free_port()

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        sock.listen()


def test_function_is_called_until_it_stops_raising():
    function = Mock(side_effect=[ValueError, ValueError, None])

    assert_stops_raising(function, interval=0)

    assert function.call_count == 3


def test_function_that_goes_on_raising_is_an_error():
    with pytest.raises(
        AssertionError, match=r"still raises ValueError.* after 0 seconds"
    ) as caught:
        assert_stops_raising(Mock(side_effect=ValueError("no")), timeout=0)

    assert isinstance(caught.value.__cause__, ValueError)


def test_other_errors_of_the_function_go_through():
    with pytest.raises(KeyError):
        assert_stops_raising(Mock(side_effect=KeyError), ValueError)


def test_call_of_a_mock_is_waited_for():
    mock = Mock()

    def call_soon():
        sleep(0.01)
        mock("argument")

    spawn(call_soon)
    with wait_for_call(5, mock) as called:
        assert called is mock
        assert mock.mock_calls == [call("argument")]


def test_waiting_for_a_mock_ends_after_its_timeout():
    with pytest.raises(TimeoutError, match=r"Timeout on <Mock .* after 0\.01 seconds"):
        wait_for_call(0.01, Mock()).__enter__()


def test_instances_of_a_class_can_be_matched_in_calls():
    mock = Mock()

    mock(1, functools.partial(print))

    assert mock.mock_calls == [call(AnyInstanceOf(int), ANY_PARTIAL)]
    assert mock.mock_calls != [call(AnyInstanceOf(str), ANY_PARTIAL)]
    assert repr(AnyInstanceOf(int)) == "<any int>"
    assert {AnyInstanceOf(int)}


def test_arguments_of_a_mock_s_call_are_unpacked():
    mock = Mock()

    mock.method(1, key="value")

    (noted,) = mock.mock_calls
    assert unpack_mock_call(noted) == ((1,), {"key": "value"})
    assert unpack_mock_call(call(2)).positional == (2,)
    assert unpack_mock_call(mock.method.call_args).keyword == {"key": "value"}


class Sleeper:
    name = "sleeper"

    @once
    def method(self):
        may_end.wait()


may_end = Event()


def test_workers_are_waited_for(container_factory):
    container = container_factory(Sleeper)
    container.start()

    with pytest.raises(TimeoutError, match=r"sleeper> still has workers after 0\.01 seconds"):
        wait_for_worker_idle(container, timeout=0.01)
    may_end.set()
    wait_for_worker_idle(container)

    assert container.default_lane.running == 0
