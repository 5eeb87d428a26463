"""The timer."""

import logging
import time

import pytest

from rpcnode.concurrency import Event, sleep
from rpcnode.exceptions import ConfigurationError
from rpcnode.runners import run_services
from rpcnode.timer import Timer, timer

INTERVAL = 0.02


def wait_until(is_true):
    end = time.monotonic() + 5
    while not is_true():
        assert time.monotonic() < end, "it did not happen"
        sleep(0.002)


def make_service(method, interval=INTERVAL, **options):
    body = {"name": "service", "method": timer(interval, **options)(method)}
    return type("Service", (), body)


def timer_of(runner):
    return runner.containers[0].entrypoints[0]


def test_timer_fires_at_multiples_of_its_interval_from_the_start():
    ticks = []
    interval = 0.05
    service = make_service(lambda self: ticks.append(time.monotonic()), interval)

    begin = time.monotonic()
    with run_services(service):
        wait_until(lambda: len(ticks) >= 3)

    late = [tick - begin - number * interval for number, tick in enumerate(ticks, 1)]
    assert min(late) >= 0
    assert max(late) < interval


def test_method_that_wants_arguments_is_refused_at_the_start():
    with pytest.raises(ConfigurationError, match=r"write `def method\(self\)`"):
        with run_services(make_service(lambda self, now: None)):
            pass


def test_eager_timer_fires_at_once():
    ticks = []

    with run_services(make_service(lambda self: ticks.append(1), 60, eager=True)):
        wait_until(lambda: ticks)

    assert ticks == [1]


def test_tick_is_left_out_while_the_one_before_runs():
    running, most, end = [], [], Event()

    def method(self):
        running.append(1)
        most.append(len(running))
        end.wait()
        running.pop()

    with run_services(make_service(method)) as runner:
        wait_until(lambda: timer_of(runner).skipped >= 3)
        assert most == [1]
        end.set()
        wait_until(lambda: len(most) >= 2)

    assert max(most) == 1


def test_ticks_may_overlap():
    running, end = [], Event()

    def method(self):
        running.append(1)
        end.wait()

    with run_services(make_service(method, overlap="allow")):
        wait_until(lambda: len(running) >= 3)
        end.set()


def test_overlapping_ticks_do_not_pile_up_in_front_of_a_full_lane():
    end = Event()
    service = make_service(lambda self: end.wait(), overlap="allow", max_workers=1)

    with run_services(service) as runner:
        wait_until(lambda: timer_of(runner).skipped >= 2)
        assert timer_of(runner).lane.pending == 1
        end.set()


def test_missed_ticks_are_skipped_and_counted():
    ticks = []

    def method(self):
        ticks.append(time.monotonic())
        if len(ticks) == 1:
            end = time.perf_counter() + 5.5 * INTERVAL
            while time.perf_counter() < end:  # it holds up the whole process
                pass

    with run_services(make_service(method)) as runner:
        wait_until(lambda: len(ticks) >= 3)
        assert timer_of(runner).skipped >= 4


def test_errors_do_not_end_a_timer(caplog):
    ticks = []

    def method(self):
        ticks.append(1)
        raise ValueError("tick")

    with caplog.at_level(logging.ERROR), run_services(make_service(method)):
        wait_until(lambda: len(ticks) >= 3)

    assert "ValueError: tick" in caplog.text


def test_exit_in_a_tick_does_not_end_a_timer():
    ticks = []

    def method(self):
        ticks.append(1)
        raise SystemExit

    with run_services(make_service(method)):
        wait_until(lambda: len(ticks) >= 3)


def test_stop_waits_for_a_running_tick_and_no_other_begins():
    log, running = [], Event()

    def method(self):
        log.append("begin")
        running.set()
        sleep(3 * INTERVAL)
        log.append("end")

    with run_services(make_service(method)):
        running.wait(5)

    assert log == ["begin", "end"]


def test_kill_ends_a_timer():
    ticks = []

    with run_services(make_service(lambda self: ticks.append(1)), kill_on_exit=True):
        wait_until(lambda: ticks)
    ticks.clear()
    sleep(2 * INTERVAL)  # nothing to wait for: nothing must happen

    assert ticks == []


def test_jitter_makes_ticks_late_by_less_than_itself(monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.5)
    ticks = []
    interval = 0.05
    service = make_service(lambda self: ticks.append(time.monotonic()), interval, jitter=0.04)

    begin = time.monotonic()
    with run_services(service):
        wait_until(lambda: len(ticks) >= 2)

    late = [tick - begin - number * interval for number, tick in enumerate(ticks, 1)]
    assert min(late) >= 0.02
    assert max(late) < 0.07


@pytest.mark.parametrize("interval", [0, -1, "1", None, True, float("nan"), float("inf")])
def test_interval_must_be_a_positive_number(interval):
    with pytest.raises(ConfigurationError, match="interval"):
        Timer(interval)


@pytest.mark.parametrize(
    "options", [{"jitter": -1}, {"jitter": 2}, {"jitter": "1"}, {"overlap": "queue"}, {"x": 1}]
)
def test_wrong_option_is_named(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Timer(1, **options)
