"""The arithmetic of the measurements."""

import pytest

from benchmarks.summary import Interval, interval, percentile, ratios


@pytest.mark.parametrize(
    ("percent", "expected"), [(1, 15), (5, 15), (30, 20), (40, 20), (50, 35), (99, 50), (100, 50)]
)
def test_percentile_is_the_value_of_the_nearest_rank(percent, expected):
    ordered = [15, 20, 35, 40, 50]

    found = percentile(ordered, percent)

    assert found == expected


def test_percentiles_of_a_hundred_values_are_these_values():
    ordered = list(range(1, 101))

    found = [percentile(ordered, percent) for percent in (1, 50, 99, 100)]

    assert found == [1, 50, 99, 100]


def test_nothing_has_no_percentile_and_no_interval():
    unknown = [None, None]

    found = (percentile([], 50), interval([]), interval(unknown))

    assert found == (None, None, None)


def test_interval_is_the_median_and_the_ends_of_what_is_known():
    values = [4.0, None, 1.0, 2.0, 9.0]

    found = interval(values)

    assert found == Interval(median=3.0, low=1.0, high=9.0, confidence=0.875)


# The ranks are those of the table of distribution-free intervals for a median, at 95 %, in
# textbooks of statistics: 1 for 6 to 8 values, 2 for 9 to 11, 3 for 12 to 14, 6 for 20.
@pytest.mark.parametrize(
    ("count", "rank", "confidence"),
    [(1, 1, 0.0), (5, 1, 0.9375), (6, 1, 0.9688), (8, 1, 0.9922), (9, 2, 0.9609), (20, 6, 0.9586)],
)
def test_interval_is_as_narrow_as_95_percent_allow(count, rank, confidence):
    values = [float(number) for number in range(1, count + 1)]

    found = interval(values)

    assert (found.low, found.high) == (rank, count + 1 - rank)
    assert found.confidence == pytest.approx(confidence, abs=5e-5)


def test_ratios_are_taken_within_a_round():
    ours = {1: 400.0, 2: 900.0, 3: 500.0}
    theirs = {3: 250.0, 1: 100.0, 2: 300.0}

    found = ratios(ours, theirs)

    assert found == {1: 4.0, 2: 3.0, 3: 2.0}


def test_a_round_that_lacks_one_side_has_no_ratio():
    ours = {1: 400.0, 2: 900.0, 3: None, 4: 100.0}
    theirs = {1: 100.0, 3: 250.0, 4: None, 5: 7.0}

    found = ratios(ours, theirs)

    assert found == {1: 4.0}
