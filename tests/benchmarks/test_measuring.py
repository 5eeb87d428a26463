"""The order of the measurements."""

from collections import Counter

from benchmarks.measuring import schedule
from benchmarks.peer import Peer
from benchmarks.workloads import Workload

IDLE, BUSY = Workload("idle", 1), Workload("busy", 100)
OURS, THEIRS = Peer("ours"), Peer("theirs")


def test_every_peer_gets_every_workload_once_in_each_round():
    rounds = 5

    order = list(schedule(rounds, [IDLE, BUSY], [OURS, THEIRS]))

    assert len(order) == rounds * 4
    assert len({(number, workload.name, peer) for number, workload, peer in order}) == 20


def test_rounds_come_one_after_the_other():
    order = schedule(3, [IDLE, BUSY], [OURS, THEIRS])

    numbers = [number for number, _workload, _peer in order]

    assert numbers == [1] * 4 + [2] * 4 + [3] * 4


def test_peers_follow_each_other_and_take_turns_in_being_the_first():
    order = list(schedule(2, [IDLE, BUSY], [OURS, THEIRS]))

    found = [(number, workload.name, peer.name) for number, workload, peer in order]

    assert found == [
        (1, "idle", "ours"),
        (1, "idle", "theirs"),
        (1, "busy", "ours"),
        (1, "busy", "theirs"),
        (2, "idle", "theirs"),
        (2, "idle", "ours"),
        (2, "busy", "theirs"),
        (2, "busy", "ours"),
    ]


def test_over_an_even_number_of_rounds_each_peer_is_as_often_first():
    order = list(schedule(6, [BUSY], [OURS, THEIRS]))

    first = Counter(peer.name for _number, _workload, peer in order[::2])

    assert first == {"ours": 3, "theirs": 3}
