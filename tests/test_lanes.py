"""Lanes."""

import contextvars
import logging
import time

import pytest

from rpcnode.concurrency import Event, Timeout, kill, sleep, spawn
from rpcnode.exceptions import ContainerBeingKilled
from rpcnode.lanes import SLICE, Lane, WaitingRoom
from tests.hosting import wait_until


class Jobs:
    """Jobs that run until they are told to end."""

    def __init__(self):
        self.started, self.ended, self.dropped = [], [], []
        self._ends = {}

    def run(self, name):
        self._ends[name] = Event()

        def job():
            self.started.append(name)
            self._ends[name].wait()
            self.ended.append(name)

        return job

    def drop(self, name):
        return lambda: self.dropped.append(name)

    def end(self, name):
        self._ends[name].set()
        settle()


def settle():
    for _ in range(5):
        sleep()


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def submit(jobs):
    def submit(lane, *names):
        for name in names:
            lane.submit(jobs.run(name), jobs.drop(name))
        settle()

    return submit


def test_jobs_run_side_by_side_up_to_the_number_of_workers(jobs, submit):
    lane = Lane("lane", 2)

    submit(lane, "a", "b", "c")

    assert jobs.started == ["a", "b"]
    assert (lane.running, lane.pending) == (2, 1)
    assert len(lane.threads) == 2


def test_waiting_job_starts_when_a_worker_is_free(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a", "b", "c")

    jobs.end("a")

    assert jobs.started == ["a", "b"]
    assert (lane.running, lane.pending) == (1, 1)


def test_job_that_raises_is_logged_and_frees_its_worker(jobs, submit, caplog):
    lane = Lane("lane", 1)
    with caplog.at_level(logging.ERROR):
        lane.submit(lambda: 1 / 0, jobs.drop("bad"))
        submit(lane, "next")

    assert jobs.started == ["next"]
    assert "ZeroDivisionError" in caplog.text


def test_exit_in_a_job_ends_neither_lane_nor_process(jobs, submit):
    lane = Lane("lane", 1)

    def leave():
        raise SystemExit(1)

    lane.submit(leave, jobs.drop("exit"))
    submit(lane, "next")

    assert jobs.started == ["next"]


def test_submit_does_not_switch_to_another_green_thread(jobs):
    lane, switched = Lane("lane", 1), []
    spawn(switched.append, True)

    lane.submit(jobs.run("a"), jobs.drop("a"))
    lane.submit(jobs.run("b"), jobs.drop("b"))

    assert switched == []


def test_killed_worker_is_replaced(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a", "b")

    kill(next(iter(lane.threads)))
    settle()

    assert jobs.started == ["a", "b"]
    assert lane.running == 1


def test_worker_that_is_killed_before_it_begins_frees_its_place(jobs, submit):
    lane = Lane("lane", 1)
    lane.submit(jobs.run("a"), jobs.drop("a"))

    kill(next(iter(lane.threads)))
    submit(lane, "b")

    assert jobs.started == ["b"]


def test_drop_pending_drops_what_was_not_started_one_by_one(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a", "b", "c")

    lane.drop_pending()

    assert jobs.dropped == ["b", "c"]
    assert lane.running == 1


def test_failing_drop_keeps_no_other_from_being_dropped(jobs, submit, caplog):
    lane = Lane("lane", 1)
    submit(lane, "a")
    lane.submit(jobs.run("b"), lambda: 1 / 0)
    submit(lane, "c")

    with caplog.at_level(logging.ERROR):
        lane.drop_pending()

    assert jobs.dropped == ["c"]
    assert "ZeroDivisionError" in caplog.text


def test_closed_lane_drops_at_once(jobs, submit):
    lane = Lane("lane", 1)
    lane.drop_pending()

    submit(lane, "a")

    assert jobs.dropped == ["a"]
    assert jobs.started == []


def test_spawn_blocks_while_the_lane_is_full_and_keeps_its_place_in_the_queue(jobs, submit):
    lane, spawned = Lane("lane", 1), []
    submit(lane, "a")
    waiter = spawn(lambda: spawned.append(lane.spawn(jobs.run("b"))))
    settle()
    submit(lane, "c")
    assert spawned == []

    jobs.end("a")

    assert jobs.started == ["a", "b"]
    waiter.wait()
    assert spawned == list(lane.threads)


def test_spawn_that_gives_up_leaves_no_job_behind(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a")

    with pytest.raises(Timeout), Timeout(0.01):
        lane.spawn(jobs.run("b"))
    jobs.end("a")

    assert jobs.started == ["a"]


def test_spawn_is_refused_by_a_closed_lane(jobs):
    lane = Lane("shop", 1)
    lane.drop_pending()

    with pytest.raises(ContainerBeingKilled, match="shop is stopping"):
        lane.spawn(jobs.run("a"))


def test_spawn_that_waits_is_refused_when_the_lane_closes(jobs, submit):
    lane, refused = Lane("shop", 1), []

    def try_to_spawn():
        try:
            lane.spawn(jobs.run("b"))
        except ContainerBeingKilled as exc:
            refused.append(exc)

    submit(lane, "a")
    waiter = spawn(try_to_spawn)
    settle()

    lane.drop_pending()
    waiter.wait()

    assert len(refused) == 1


def test_wait_ends_when_the_last_worker_does(jobs, submit):
    lane = Lane("lane", 2)
    submit(lane, "a", "b")
    waiter = spawn(lane.wait, 5)

    jobs.end("a")
    assert not waiter.dead

    jobs.end("b")
    assert waiter.wait() is True


def test_wait_gives_up_after_its_time(submit):
    lane = Lane("lane", 1)
    submit(lane, "a")

    assert lane.wait(0.01) is False


def test_wait_returns_at_once_when_nothing_runs():
    assert Lane("lane", 1).wait() is True


def test_kill_ends_workers_and_drops_the_rest(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a", "b")

    lane.kill()

    assert lane.wait(1)
    assert jobs.ended == []
    assert jobs.dropped == ["b"]


def test_worker_that_kills_its_lane_goes_on():
    lane, log = Lane("lane", 1), []

    def job():
        lane.kill()
        log.append("went on")

    lane.submit(job, lambda: None)
    lane.wait(1)

    assert log == ["went on"]


def test_context_variables_come_from_who_submits_never_from_another_worker():
    lane, variable, seen = Lane("lane", 1), contextvars.ContextVar("variable"), []

    def job():
        seen.append(variable.get())
        variable.set("left behind")
        sleep()

    for name in ("first", "second"):
        variable.set(name)
        lane.submit(job, lambda: None)
    variable.set("later")
    lane.wait(1)

    assert seen == ["first", "second"]


def fill(lane, jobs, room, *names):
    """Submit jobs to a room of a lane; return for each whether it was taken."""
    taken = [lane.submit(jobs.run(name), jobs.drop(name), room) for name in names]
    settle()
    return taken


def test_room_takes_no_more_jobs_than_its_limit_while_no_worker_is_free(jobs):
    lane, room = Lane("lane", 1), WaitingRoom(limit=1)

    assert fill(lane, jobs, room, "a", "b", "c") == [True, True, False]
    assert (room.waiting, lane.pending) == (1, 1)
    jobs.end("a")
    assert fill(lane, jobs, room, "d") == [True]
    jobs.end("b")
    jobs.end("d")
    assert fill(lane, jobs, room, "e") == [True]

    assert jobs.started == ["a", "b", "d", "e"]
    assert jobs.dropped == []


def test_jobs_without_the_room_do_not_count_in_it(jobs, submit):
    lane, room = Lane("lane", 1), WaitingRoom(limit=1)
    submit(lane, "a", "b", "c")

    assert fill(lane, jobs, room, "d", "e") == [True, False]
    jobs.end("a")
    jobs.end("b")
    assert fill(lane, jobs, room, "f") == [False]
    jobs.end("c")
    assert fill(lane, jobs, room, "g") == [True]


def test_room_is_empty_when_its_jobs_are_dropped(jobs):
    lane, room = Lane("lane", 1), WaitingRoom(limit=5)
    fill(lane, jobs, room, "a", "b", "c")

    lane.drop_pending()

    assert room.waiting == 0


def test_job_that_waits_too_long_is_dropped_and_no_other(jobs, submit, caplog):
    lane, room = Lane("lane", 1), WaitingRoom(longest=0.2)
    submit(lane, "runs", "has time")
    began = time.monotonic()
    fill(lane, jobs, room, "a", "b")

    wait_until(lambda: jobs.dropped == ["a", "b"])

    assert 0.1 < time.monotonic() - began < 0.5
    assert (lane.pending, room.waiting) == (1, 0)
    assert "lane has no worker for 2 jobs that have waited as long as they may" in caplog.text
    fill(lane, jobs, room, "c")
    wait_until(lambda: jobs.dropped == ["a", "b", "c"])
    jobs.end("runs")
    assert jobs.started == ["runs", "has time"]


def test_job_that_comes_later_waits_later(jobs, submit):
    lane, room = Lane("lane", 1), WaitingRoom(longest=0.2)
    submit(lane, "runs")
    dropped = {}

    def put(name):
        lane.submit(jobs.run(name), lambda: dropped.update({name: time.monotonic()}), room)
        return time.monotonic()

    entered = {"a": put("a")}
    wait_until(lambda: time.monotonic() > entered["a"] + 0.1)
    entered["b"] = put("b")
    wait_until(lambda: len(dropped) == 2)

    for name, moment in entered.items():
        assert 0.15 < dropped[name] - moment < 0.4


def test_others_have_their_turn_while_many_jobs_are_dropped(jobs, submit):
    lane, log = Lane("lane", 1), []
    submit(lane, "runs")
    for _ in range(SLICE * 2 + 1):
        lane.submit(jobs.run("waits"), lambda: log.append("drop"))
    spawn(log.append, "other")

    lane.drop_pending()

    assert log.index("other") == SLICE
    assert log.count("drop") == SLICE * 2 + 1


def test_closed_lane_starts_nothing_that_waits(jobs, submit):
    lane = Lane("lane", 1)
    submit(lane, "a", "b")

    lane.close()
    jobs.end("a")

    assert jobs.started == ["a"]
    assert lane.wait(1)
    lane.drop_pending()
    assert jobs.dropped == ["b"]


def test_who_is_killed_while_dropping_drops_the_rest_at_once(jobs, submit):
    lane, log = Lane("lane", 1), []
    submit(lane, "runs")
    for _ in range(SLICE * 3):
        lane.submit(jobs.run("waits"), lambda: log.append("drop"))
    dropping = spawn(lane.drop_pending)
    wait_until(lambda: log)

    kill(dropping)

    wait_until(lambda: len(log) == SLICE * 3)
