"""Timers: in the order of their moments, and no trace of those that were cancelled."""

from rpcnode.standalone import timers as module
from rpcnode.standalone.timers import Timers


def run(timers, now):
    return [function(argument) for function, argument in timers.due(now)]


def test_due_timers_come_in_the_order_of_their_moments():
    timers = Timers()
    for at in (3, 1, 2, 5):
        timers.add(at, lambda argument: argument, at)

    first, then, at_last = run(timers, 2.5), run(timers, 4), run(timers, 9)

    assert (first, then, at_last) == ([1, 2], [3], [5])
    assert timers.next() is None


def test_cancelled_timer_is_never_due():
    timers = Timers()
    cancelled = timers.add(1, lambda _: "cancelled")
    timers.add(2, lambda _: "due")

    cancelled.cancel()
    cancelled.cancel()

    assert timers.next() == 2
    assert run(timers, 9) == ["due"]
    assert len(timers) == 0


def test_timer_that_is_cancelled_by_another_one_is_not_run():
    timers = Timers()
    timers.add(1, lambda _: second.cancel())
    second = timers.add(2, lambda _: "too late")

    assert run(timers, 9) == [None]


def test_timer_added_while_others_run_waits_for_its_moment():
    timers = Timers()
    timers.add(1, lambda _: timers.add(4, lambda _: "later") and "now")

    assert run(timers, 2) == ["now"]
    assert run(timers, 4) == ["later"]


def test_cancelled_timers_do_not_pile_up():
    timers = Timers()
    kept = timers.add(1e9, lambda _: "kept")

    for at in range(10 * module.FEW):
        timers.add(at + 1, print).cancel()

    assert len(timers._heap) <= module.FEW + 2
    assert timers.next() == kept.at
