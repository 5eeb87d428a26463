"""Delays between attempts."""

import pytest

from rpcnode.backoff import Attempt, Exponential, Fixed, Linear
from rpcnode.exceptions import ConfigurationError


def delays(delay, count=6):
    return [delay(Attempt(number)) for number in range(1, count + 1)]


def test_exponential_delays_grow_by_a_factor_up_to_their_limit():
    assert delays(Exponential(1, max=10)) == [1, 2, 4, 8, 10, 10]
    assert delays(Exponential(2, factor=1.5), 3) == [2, 3, 4.5]
    assert Exponential(1)(Attempt(100_000)) == 300


def test_linear_delays_grow_by_a_step_up_to_their_limit():
    assert delays(Linear(5, 10, max=30)) == [5, 15, 25, 30, 30, 30]


def test_fixed_delays_stay_the_same():
    assert delays(Fixed(7), 2) == [7, 7]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Exponential(-1), "Exponential: first must be a number of seconds from 0.*not -1"),
        (lambda: Exponential("1"), "Exponential: first must be .* not '1'"),
        (lambda: Exponential(1, factor=0.5), "factor must be a number of at least 1, not 0.5"),
        (lambda: Exponential(1, max=float("inf")), "Exponential: max must be"),
        (lambda: Linear(1, True), "Linear: step must be .* not True"),
        (lambda: Linear(1, 1, max=-5), "Linear: max must be"),
        (lambda: Fixed(float("nan")), "Fixed must be .* not nan"),
        (lambda: Fixed(31 * 86_400), "from 0 to 2592000"),
    ],
)
def test_delays_that_cannot_be_are_refused_where_they_are_written(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()


def test_attempt_knows_whether_it_is_the_last():
    assert Attempt().is_last
    assert not Attempt(2, 3).is_last
    assert Attempt(3, 3).is_last
