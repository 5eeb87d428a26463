"""Functions that are called again when they fail."""

import time

import pytest

from rpcnode.utils.retry import retry


@pytest.fixture
def pauses(monkeypatch):
    noted = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


def failing(times, error=ValueError):
    """Return a function that fails so many times, and the list of its calls."""
    calls = []

    def function(*args, **kwargs):
        calls.append((args, kwargs))
        if len(calls) <= times:
            raise error(len(calls))
        return "result"

    return function, calls


def test_function_is_called_until_it_works(pauses):
    function, calls = failing(2)

    result = retry(function)(1, key="value")

    assert result == "result"
    assert calls == [((1,), {"key": "value"})] * 3
    assert pauses == [1, 1]


def test_last_error_is_raised_when_there_were_enough_attempts(pauses):
    function, calls = failing(100)

    with pytest.raises(ValueError, match="^4$"):
        retry(function)()

    assert len(calls) == 4


def test_pauses_grow_from_the_first_one_on_up_to_a_limit(pauses):
    function, _calls = failing(4)

    retry(max_attempts=4, delay=1, backoff=2, max_delay=5)(function)()

    assert pauses == [2, 4, 5, 5]


def test_other_errors_are_raised_at_once(pauses):
    function, calls = failing(1, KeyError)

    with pytest.raises(KeyError):
        retry(for_exceptions=(ValueError, OSError))(function)()

    assert len(calls) == 1
    assert pauses == []


@pytest.mark.parametrize(("attempts", "calls_made"), [(0, 1), (1, 2)])
def test_attempts_are_counted_beyond_the_first_call(pauses, attempts, calls_made):
    function, calls = failing(100)

    with pytest.raises(ValueError, match=f"^{calls_made}$"):
        retry(max_attempts=attempts)(function)()

    assert len(calls) == calls_made


def test_attempts_may_go_on_without_end(pauses):
    function, calls = failing(1000)

    assert retry(function, max_attempts=None, delay=0)() == "result"
    assert len(calls) == 1001


def test_methods_can_be_decorated_and_keep_their_name(pauses):
    class Client:
        attempts = 0

        @retry
        def fetch(self, key):
            """Return what is there."""
            self.attempts += 1
            if self.attempts < 2:
                raise OSError
            return key

    client = Client()

    assert client.fetch("key") == "key"
    assert client.attempts == 2
    assert (Client.fetch.__name__, Client.fetch.__doc__) == ("fetch", "Return what is there.")
