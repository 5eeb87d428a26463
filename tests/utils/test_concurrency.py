"""Many calls at once."""

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.utils.concurrency import SpawningProxy, SpawningSet, fail_fast_imap


class Item:
    def __init__(self, name, turn=None, error=None):
        self.name = name
        self.turn = turn
        self.error = error
        self.was_called = False

    def method(self, suffix=""):
        if self.turn is not None:
            self.turn.wait()
        if self.error is not None:
            raise self.error
        self.was_called = True
        return f"{self.name}{suffix}"


class Pool:
    """Has of an eventlet pool what is needed."""

    spawn = staticmethod(spawn)


def test_method_of_all_items_is_called_at_once():
    turn = Event()

    class Opener(Item):
        def method(self, suffix=""):
            turn.set()
            return super().method(suffix)

    results = SpawningProxy([Item("waits", turn), Opener("opens")]).method(suffix="!")

    assert results == ["waits!", "opens!"]


def test_without_items_there_is_nothing_to_return():
    assert SpawningProxy([]).method() is None


def test_set_calls_all_that_is_in_it():
    items = SpawningSet([Item("a"), Item("b")])

    results = items.all.method()

    assert sorted(results) == ["a", "b"]
    assert all(item.was_called for item in items)


def test_first_error_is_raised_once_all_have_ended():
    turn = Event()
    bad, good = Item("bad", error=ValueError("bad")), Item("good", turn)
    spawn(turn.set)

    with pytest.raises(ValueError, match="bad"):
        SpawningProxy([good, bad]).method()

    assert good.was_called


def test_others_are_killed_at_the_first_error_when_that_is_wanted():
    turn = Event()
    bad, good = Item("bad", error=ValueError("bad")), Item("good", turn)

    with pytest.raises(ValueError, match="bad"):
        SpawningProxy([good, bad], abort_on_error=True).method()

    turn.set()
    sleep()
    assert not good.was_called


def test_results_come_in_the_order_of_the_items():
    assert list(fail_fast_imap(Pool(), str.upper, ["a", "b"])) == ["A", "B"]


def test_first_error_of_many_calls_is_raised():
    with pytest.raises(TypeError):
        list(fail_fast_imap(Pool(), str.upper, ["a", 1]))
