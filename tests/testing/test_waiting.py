"""Waiting for a call that somebody else makes."""

import pytest
from mock import Mock, call

from rpcnode.concurrency import run_in_native_thread, sleep, spawn
from rpcnode.testing import WaitResult, wait_for_call


class Echo:
    def upper(self, text):
        return text.upper()

    def proxy(self, text):
        return self.upper(text)

    def broken(self):
        raise OSError("broken")

    @staticmethod
    def static(text):
        return text

    @classmethod
    def of_class(cls, text):
        return cls, text


def test_result_is_there_once_it_was_sent():
    result = WaitResult()

    assert not result.has_result
    with pytest.raises(WaitResult.NotReady):
        result.get()
    result.send(None, None)
    assert result.has_result
    assert result.get() is None


def test_result_is_the_first_that_was_sent():
    result = WaitResult()

    result.send(1, None)
    result.send(2, None)

    assert [result.get(), result.get()] == [1, 1]


def test_result_may_be_an_error():
    result, error = WaitResult(), OSError("broken")

    result.send(None, (OSError, error, None))

    assert result.has_result
    with pytest.raises(OSError, match="broken") as caught:
        result.get()
    assert caught.value is error


def test_call_goes_through_and_its_result_is_there():
    echo = Echo()

    with wait_for_call(echo, "upper") as result:
        returned = echo.proxy("hello")

    assert returned == result.get() == "HELLO"
    assert "upper" not in vars(echo)


def test_call_in_another_green_thread_is_waited_for():
    echo = Echo()

    def call_later():
        sleep(0.01)
        echo.upper("hello")

    with wait_for_call(echo, "upper") as result:
        spawn(call_later)

    assert result.get() == "HELLO"


def test_call_in_a_native_thread_is_waited_for():
    echo = Echo()

    with wait_for_call(echo, "upper") as result:
        run_in_native_thread(echo.upper, "hello")

    assert result.get() == "HELLO"


def test_callback_decides_which_call_is_waited_for():
    echo, callback = Echo(), Mock(side_effect=[False, True])

    with wait_for_call(echo, "upper", callback) as result:
        echo.upper("first")
        echo.upper(text="second")

    assert result.get() == "SECOND"
    assert callback.mock_calls == [
        call(("first",), {}, "FIRST", None),
        call((), {"text": "second"}, "SECOND", None),
    ]


def test_callback_sees_the_instance_where_a_class_is_watched():
    echo, callback = Echo(), Mock(return_value=True)

    with wait_for_call(Echo, "upper", callback):
        echo.upper("hello")

    assert callback.mock_calls == [call((echo, "hello"), {}, "HELLO", None)]


def test_static_and_class_methods_can_be_watched():
    with wait_for_call(Echo, "static") as static, wait_for_call(Echo, "of_class") as of_class:
        assert Echo().static("a") == "a"
        assert Echo().of_class("b") == (Echo, "b")

    assert static.get() == "a"
    assert of_class.get() == (Echo, "b")


def test_error_of_the_call_goes_through_and_is_its_result():
    echo, callback = Echo(), Mock(return_value=True)

    with wait_for_call(echo, "broken", callback) as result:
        with pytest.raises(OSError, match="broken") as caught:
            echo.broken()

    ((args, kwargs, value, exc_info),) = [each.args for each in callback.mock_calls]
    assert (args, kwargs, value, exc_info[1]) == ((), {}, None, caught.value)
    with pytest.raises(OSError, match="broken"):
        result.get()


def test_mock_can_be_watched():
    service = Mock()

    with wait_for_call(service, "method") as result:
        service.method("argument")

    assert result.get() is service.method.return_value
    service.method.assert_called_once_with("argument")


def test_error_of_the_callback_is_raised_in_the_test():
    echo, callback = Echo(), Mock(side_effect=AssertionError("wrong"))

    with pytest.raises(AssertionError, match="wrong"), wait_for_call(echo, "upper", callback):
        assert echo.upper("hello") == "HELLO"


def test_waiting_ends_after_its_timeout():
    with pytest.raises(TimeoutError, match=r"Timeout on a call of 'upper' after 0\.01 seconds"):
        with wait_for_call(Echo(), "upper", timeout=0.01):
            pass


def test_error_in_the_block_is_raised_at_once():
    echo = Echo()

    with pytest.raises(KeyError), wait_for_call(echo, "upper", timeout=None):
        raise KeyError

    assert "upper" not in vars(echo)
