"""How extensions are ended."""

import time

import pytest

from rpcnode import shutdown
from rpcnode.concurrency import Event, kill, sleep, spawn
from rpcnode.lanes import Lane
from rpcnode.shutdown import Shutdown, kill_threads, wait_for


class Stubborn:
    """An extension that does not stop until it is killed."""

    def __init__(self):
        self.killed = Event()

    def stop(self):
        self.killed.wait()

    def kill(self):
        self.killed.set()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(shutdown, "STOP_GRACE", 0.01)


def test_those_that_still_run_are_returned():
    slow, quick = spawn(Event().wait), spawn(sleep)

    assert wait_for([slow, quick], time.monotonic() + 0.01) == [slow]
    kill(slow)


def test_waiting_ends_with_the_last():
    threads = [spawn(sleep, 0.01), spawn(sleep)]
    sleep()

    begin = time.monotonic()

    assert wait_for(threads, begin + 5) == []
    assert time.monotonic() - begin < 1


def test_who_asks_for_the_others_to_be_killed_goes_on():
    threads, log = [], []

    def work():
        kill_threads(threads)
        log.append("went on")

    threads += [spawn(work), spawn(Event().wait)]
    wait_for(threads, time.monotonic() + 5)

    assert log == ["went on"]


def test_stubborn_extensions_are_killed_when_the_time_is_over():
    together, alone = [Stubborn(), Stubborn()], Stubborn()
    ending = Shutdown(0.01)

    ending.begin(together)
    assert not any(extension.killed.is_set() for extension in together)
    ending.finish()
    ending.stop([alone])

    assert all(extension.killed.is_set() for extension in [*together, alone])


def test_workers_get_the_time_that_is_left_then_they_are_killed():
    lane, log = Lane("lane", 3), []

    def work(seconds):
        sleep(seconds)
        log.append(seconds)

    for seconds in (0.01, 60):
        lane.submit(lambda seconds=seconds: work(seconds), lambda: None)
    Shutdown(0.1).end_lanes([lane])

    assert log == [0.01]
    assert lane.running == 0
