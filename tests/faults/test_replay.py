"""Replaying dead letters while everything that takes part is killed.

RPCNODE_TEST_REPLAY_LETTERS and RPCNODE_TEST_REPLAY_KILLS make it larger; 1000 and 2 is the whole
proof.
"""

import os
from collections import Counter

import pytest

from rpcnode.dead import DeadLetters
from rpcnode.deadletters.replaying import BATCH
from rpcnode.exceptions import QueueNotFound
from tests.hosting import hosted, wait_until

LETTERS = int(os.environ.get("RPCNODE_TEST_REPLAY_LETTERS", "100"))
KILLS = int(os.environ.get("RPCNODE_TEST_REPLAY_KILLS", "1"))
QUEUE = "evt-caller-happened--handler.handle"


class Hosting:
    """The service in a process of its own, and another one after each kill."""

    def __init__(self, start, uri):
        self._start = start
        self._uri = uri
        self.restart()

    def restart(self):
        self.process = self._start("run", "--broker", self._uri, "tests.faults.replayed")
        self.process.wait_for("services are up")

    def kill(self):
        self.process.kill()
        self.restart()


@pytest.fixture
def runs(book):
    """Return a function that returns what has been handled: number, replays, redelivered."""

    def read():
        lines = book.path.read_text().splitlines() if book.path.exists() else []
        return [tuple(map(int, line.split())) for line in lines]

    return read


@pytest.fixture
def hosting(start, book, vhost_uri):
    return Hosting(start, vhost_uri)


@pytest.fixture
def dead(vhost_uri):
    with DeadLetters({"AMQP_URI": vhost_uri}) as dead:
        yield dead


def make_letters(vhost_uri, dead):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        for number in range(LETTERS):
            services.dispatch("happened", number)
    wait_until(lambda: has(dead, LETTERS), seconds=60)


def has(dead, count):
    try:
        return dead.count(QUEUE) == count
    except QueueNotFound:  # the service makes it when the first one dies
        return False


@pytest.mark.timeout(180)
def test_service_killed_during_a_replay_loses_no_letter(vhost_uri, hosting, runs, dead, start):
    make_letters(vhost_uri, dead)
    rate = str(LETTERS / 2)
    replay = start("dead", "replay", QUEUE, "--broker", vhost_uri, "--rate", rate)
    for kill in range(1, KILLS + 1):
        wait_until(lambda count=kill: len(runs()) > LETTERS * count / (KILLS + 2), seconds=60)
        hosting.kill()
    code = replay.wait()
    wait_until(lambda: is_complete(runs()), seconds=60)

    assert (code, replay.output) == (
        0,
        f"replayed {LETTERS} of {LETTERS} letters of '{QUEUE}.dead'\n",
    )
    assert dead.count(QUEUE) == 0
    assert {replayed for _number, replayed, _redelivered in runs()} == {1}
    assert unmarked_duplicates(runs()) == []


@pytest.mark.timeout(180)
def test_replay_that_is_killed_itself_goes_on_and_loses_no_letter(
    vhost_uri, hosting, runs, dead, start
):
    make_letters(vhost_uri, dead)
    for kill in range(1, KILLS + 1):
        replay = start("dead", "replay", QUEUE, "--broker", vhost_uri, "--rate", str(LETTERS / 2))
        wait_until(lambda count=kill: len(runs()) > LETTERS * count / (KILLS + 2), seconds=60)
        replay.kill()
    # Again and again: it takes the broker a moment to take back what the killed one had.
    wait_until(lambda: dead.replay(QUEUE) and is_complete(runs()), seconds=60)

    assert dead.count(QUEUE) == 0
    # Some may have come twice, from a batch that the broker had and that was not taken out yet.
    assert len(unmarked_duplicates(runs())) <= BATCH * KILLS
    assert {replayed for _number, replayed, _redelivered in runs()} == {1}


def is_complete(runs):
    return {number for number, _replayed, _redelivered in runs} == set(range(LETTERS))


def unmarked_duplicates(runs):
    """Return the numbers that ran more often than redeliveries explain."""
    all_runs = Counter(number for number, _replayed, _redelivered in runs)
    redelivered = Counter(number for number, _replayed, again in runs if again)
    return [number for number, count in all_runs.items() if count - redelivered[number] > 1]
