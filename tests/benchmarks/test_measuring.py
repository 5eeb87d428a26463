"""The meter, and how figures are shown."""

import os
import time

import pytest

from benchmarks.measuring import Bench, Meter, shown

DEADLINE = 10.0


def test_meter_tells_the_cpu_time_of_an_operation_and_what_is_not_known():
    meter = Meter(Bench(None, 1, 0), client=os.getpid())
    meter.start()
    deadline, own = time.monotonic() + DEADLINE, time.process_time()

    while time.process_time() < own + 0.1 and time.monotonic() < deadline:
        sum(range(1000))
    figures = meter.stop(10)

    assert 5_000 < figures["client_cpu_us"] < 100_000
    assert figures["broker_cpu_us"] is None
    assert figures["cpu_us"] is None
    assert figures["others_cpus"] >= 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0.84249, "0.842"), (14.3, "14.3"), (1234.5, "1,234"), (100000, "100,000")],
)
def test_figures_are_shown_with_three_digits_or_as_whole_numbers(value, expected):
    text = shown(value)

    assert text == expected
