"""Retry policies: who is tried again, when, and when not."""

import random

import pytest

from rpcnode.backoff import Attempt, Exponential, Fixed, Linear
from rpcnode.concurrency import Timeout
from rpcnode.exceptions import ConfigurationError, DeadlineExceeded
from rpcnode.retries import Retry, policy_from

NOW = 1_000_000.0


def next_delay(policy, error=None, number=1, **known):
    return policy.next_delay(error or OSError("disk"), Attempt(number, **known), NOW)


def test_default_tries_five_times_with_growing_delays():
    policy = Retry(jitter=0)

    assert [next_delay(policy, number=number) for number in range(1, 6)] == [1, 2, 4, 8, None]


def test_max_attempts_includes_the_first():
    assert next_delay(Retry(2, Fixed(1), jitter=0)) == 1
    assert next_delay(Retry(2, Fixed(1)), number=2) is None
    assert next_delay(Retry(1)) is None


def test_list_gives_the_delays_one_by_one_and_repeats_the_last():
    policy = Retry(9, [1, 5, 30], jitter=0)

    assert [next_delay(policy, number=number) for number in (1, 2, 3, 4, 8)] == [1, 5, 30, 30, 30]


def test_function_is_told_of_the_attempt_and_says_the_delay():
    asked = []

    def delay(info):
        asked.append(info)
        return info.attempt * 100

    assert next_delay(Retry(5, delay, jitter=0), number=2, last_error="x") == 200
    assert asked == [Attempt(2, last_error="x")]


@pytest.mark.parametrize("wrong", [None, -1, "1", float("nan"), 1e9, ZeroDivisionError()])
def test_function_that_fails_ends_no_retry(wrong, caplog):
    def delay(info):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    assert next_delay(Retry(5, delay, jitter=0), number=3) == 4
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_jitter_shortens_delays_by_chance():
    random.seed(1)
    drawn = [next_delay(Retry(2, Fixed(10), jitter=0.2)) for _ in range(1000)]

    assert 8 <= min(drawn) < 8.1
    assert 9.9 < max(drawn) <= 10


def test_errors_are_matched_with_their_subclasses():
    policy = Retry(3, on=(OSError, KeyError), give_up_on=FileNotFoundError)

    assert next_delay(policy, ConnectionError()) is not None
    assert next_delay(policy, KeyError()) is not None
    assert next_delay(policy, FileNotFoundError()) is None
    assert next_delay(policy, ValueError()) is None
    assert next_delay(policy, DeadlineExceeded()) is None


@pytest.mark.parametrize("error", [DeadlineExceeded(), Timeout()])
def test_timeouts_are_tried_again_like_exceptions(error):
    assert next_delay(Retry(3), error) is not None
    assert next_delay(Retry(3, give_up_on=type(error)), error) is None


@pytest.mark.parametrize("error", [SystemExit(), GeneratorExit(), KeyboardInterrupt()])
def test_exits_are_not(error):
    assert next_delay(Retry(3), error) is None
    assert next_delay(Retry(3, on=BaseException), error) is not None


def test_no_attempt_begins_after_max_age():
    policy = Retry(99, Fixed(10), jitter=0, max_age=60)

    assert next_delay(policy) == 10
    assert next_delay(policy, first_at=NOW - 50) == 10
    assert next_delay(policy, first_at=NOW - 51) is None


def test_pause_knows_its_longest_where_there_are_few():
    attempt = Attempt(2)

    assert Retry(5, Fixed(10)).pause(attempt, NOW).longest == 10
    assert Retry(5, [1, 7]).pause(attempt, NOW).longest == 7
    assert Retry(5).pause(attempt, NOW).longest is None
    assert Retry(5, Fixed(10)).pause(attempt, NOW, 3).seconds == 3
    assert Retry(5, Fixed(10)).pause(attempt, NOW, 3).longest is None


def test_policies_are_values():
    assert Retry(3, [1, 2], on=OSError) == Retry(3, (1, 2), on=(OSError,))
    assert len({Retry(3), Retry(3), Retry(4)}) == 2
    with pytest.raises(AttributeError):
        Retry(3).max_attempts = 4


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Retry(0), "max_attempts must be a whole number of at least 1, not 0"),
        (lambda: Retry(True), "max_attempts must be .* not True"),
        (lambda: Retry(2.5), "max_attempts must be .* not 2.5"),
        (lambda: Retry(3, 5), r"delay must be .* not 5: write Fixed\(5\)"),
        (lambda: Retry(3, "5"), "a list of seconds or a function, not '5'"),
        (lambda: Retry(3, Fixed), "delay must be .*not <class"),
        (lambda: Retry(3, []), r"delay must be .*not \[\]"),
        (lambda: Retry(3, [1, -2]), "delay 2 must be a number of seconds from 0"),
        (lambda: Retry(3, jitter=1.5), "jitter must be a number from 0 to 1, not 1.5"),
        (lambda: Retry(3, on=ValueError()), r"on must be exception classes, not ValueError\(\)"),
        (lambda: Retry(3, give_up_on=("x",)), "give_up_on must be exception classes, not 'x'"),
        (lambda: Retry(3, max_age=0), "max_age must be a number of seconds above 0, not 0"),
    ],
)
def test_policy_that_cannot_be_is_refused_where_it_is_written(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()


@pytest.mark.parametrize(
    ("mapping", "policy"),
    [
        ({}, Retry()),
        (
            {"max_attempts": 3, "delay": {"exponential": 1, "max": 60}, "jitter": 0},
            Retry(3, Exponential(1, max=60), jitter=0),
        ),
        (
            {"delay": {"exponential": 1, "factor": 3}, "max_age": 60},
            Retry(delay=Exponential(1, factor=3), max_age=60),
        ),
        ({"delay": {"linear": 5, "step": 2, "max": 9}}, Retry(delay=Linear(5, 2, max=9))),
        ({"delay": {"linear": 5}}, Retry(delay=Linear(5, 5))),
        ({"delay": {"fixed": 10}}, Retry(delay=Fixed(10))),
        ({"delay": [1, 5, 30]}, Retry(delay=[1, 5, 30])),
    ],
)
def test_configuration_describes_a_policy(mapping, policy):
    assert policy_from(mapping, "EVENT_RETRY") == policy


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"attempts": 3}, "EVENT_RETRY: there is no 'attempts'; the keys are max_attempts, delay"),
        ({"max_attempts": "3"}, "EVENT_RETRY: Retry: max_attempts must be .* not '3'"),
        ({"delay": 5}, "EVENT_RETRY: Retry: delay must be"),
        ({"delay": {}}, "delay must have one of the keys exponential, linear, fixed"),
        ({"delay": {"fixed": 1, "linear": 2}}, "delay must have one of the keys"),
        ({"delay": {"fixed": 1, "max": 2}}, "there is no 'max'; the keys are fixed"),
        ({"delay": {"fixed": -1}}, "EVENT_RETRY: Fixed must be"),
        ({"delay": print}, "delay must be a mapping or a list"),
        ({"on": ["ValueError"]}, "there is no 'on'"),
    ],
)
def test_configuration_that_describes_none_is_an_error_that_names_the_key(mapping, text):
    with pytest.raises(ConfigurationError, match=text):
        policy_from(mapping, "EVENT_RETRY")
