"""Things that containers share."""

import pytest

from rpcnode.concurrency import Event, kill, sleep, spawn
from rpcnode.resources import Resources


class Thing:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_second_user_gets_the_same_thing():
    resources = Resources()

    first = resources.acquire("key", Thing)
    second = resources.acquire("key", Thing)

    assert first is second
    assert resources.acquire("other", Thing) is not first


def test_thing_is_made_once_when_two_ask_at_the_same_time():
    resources, made, go_on = Resources(), [], Event()

    def make():
        go_on.wait()
        made.append(Thing())
        return made[-1]

    askers = [spawn(resources.acquire, "key", make) for _ in range(2)]
    sleep()
    go_on.set()

    assert [asker.wait() for asker in askers] == made * 2
    assert len(made) == 1


def test_last_release_closes_the_thing():
    resources = Resources()
    thing = resources.acquire("key", Thing)
    resources.acquire("key", Thing)

    resources.release("key")
    assert thing.closed == 0

    resources.release("key")
    assert thing.closed == 1


def test_thing_is_made_again_after_the_last_release():
    resources = Resources()
    first = resources.acquire("key", Thing)
    resources.release("key")

    assert resources.acquire("key", Thing) is not first


def test_given_closer_is_used_instead_of_close():
    resources, closed = Resources(), []
    thing = resources.acquire("key", Thing, closed.append)

    resources.release("key")

    assert closed == [thing]
    assert thing.closed == 0


def test_thing_without_close_is_just_forgotten():
    resources = Resources()
    resources.acquire("key", object)

    resources.release("key")

    with pytest.raises(KeyError):
        resources.release("key")


def test_failure_to_make_is_raised_and_leaves_nothing_behind():
    resources = Resources()

    with pytest.raises(ZeroDivisionError):
        resources.acquire("key", lambda: 1 / 0)

    assert resources.acquire("key", lambda: "thing") == "thing"
    resources.release("key")


def test_next_who_waits_tries_again_when_the_first_is_killed():
    resources, never = Resources(), Event()
    first = spawn(resources.acquire, "key", never.wait)
    second = spawn(resources.acquire, "key", Thing)
    sleep()

    kill(first)

    assert isinstance(second.wait(), Thing)


def test_what_is_said_once_is_said_by_the_first():
    resources = Resources()

    assert resources.is_first("a")
    assert not resources.is_first("a")
    assert resources.is_first("b")
    assert Resources().is_first("a")
