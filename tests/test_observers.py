"""The observer seam."""

import logging

import pytest

from rpcnode.observers import EVENTS, Observers


class Recorder:
    def __init__(self):
        self.seen = []

    def worker_started(self, worker_ctx):
        self.seen.append(worker_ctx)


def tell(observers, event, *args):
    for observe in getattr(observers, event):
        observe(*args)


def test_nobody_watches_at_first():
    observers = Observers()

    assert [getattr(observers, event) for event in EVENTS] == [()] * len(EVENTS)


def test_observer_hears_of_the_events_it_has_methods_for():
    observers, recorder = Observers(), Recorder()

    observers.add(recorder)
    tell(observers, "worker_started", "worker")
    tell(observers, "worker_finished", "worker")

    assert recorder.seen == ["worker"]
    assert observers.worker_finished == ()


def test_observers_hear_in_the_order_in_which_they_were_added():
    observers, heard = Observers(), []
    first, second = Recorder(), Recorder()
    first.worker_started = lambda ctx: heard.append("first")
    second.worker_started = lambda ctx: heard.append("second")

    observers.add(first)
    observers.add(second)
    tell(observers, "worker_started", "worker")

    assert heard == ["first", "second"]


def test_removed_observer_hears_nothing():
    observers, recorder = Observers(), Recorder()
    observers.add(recorder)

    observers.remove(recorder)
    tell(observers, "worker_started", "worker")

    assert recorder.seen == []


def test_removing_a_stranger_is_an_error():
    with pytest.raises(ValueError, match="not in list"):
        Observers().remove(Recorder())


def test_failing_observer_is_logged_and_disturbs_nobody(caplog):
    observers, broken, recorder = Observers(), Recorder(), Recorder()
    broken.worker_started = lambda ctx: 1 / 0
    observers.add(broken)
    observers.add(recorder)

    with caplog.at_level(logging.ERROR):
        tell(observers, "worker_started", "worker")

    assert recorder.seen == ["worker"]
    assert "ZeroDivisionError" in caplog.text


def test_observer_that_leaves_while_it_is_told_disturbs_nobody():
    observers, leaving, recorder = Observers(), Recorder(), Recorder()
    leaving.worker_started = lambda ctx: observers.remove(leaving)
    observers.add(leaving)
    observers.add(recorder)

    tell(observers, "worker_started", "worker")

    assert recorder.seen == ["worker"]
