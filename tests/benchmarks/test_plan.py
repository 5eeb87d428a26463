"""The order of the measurements, and how many there are."""

from collections import Counter
from dataclasses import replace

from benchmarks.measuring import Workload
from benchmarks.peer import Peer
from benchmarks.plan import FEW, Rounds, schedule

IDLE, BUSY = Workload("idle", "work", "idle"), Workload("busy", "work", "busy")
OURS, THEIRS = (Peer(name, does=frozenset({"work"})) for name in ("ours", "theirs"))


def test_every_peer_gets_every_workload_once_in_each_round():
    rounds = 5

    order = list(schedule(Rounds(rounds), [IDLE, BUSY], [OURS, THEIRS]))

    assert len(order) == rounds * 4
    assert len({(number, workload.name, peer) for number, workload, peer in order}) == 20


def test_rounds_come_one_after_the_other():
    order = schedule(Rounds(3), [IDLE, BUSY], [OURS, THEIRS])

    numbers = [number for number, _workload, _peer in order]

    assert numbers == [1] * 4 + [2] * 4 + [3] * 4


def test_peers_follow_each_other_and_take_turns_in_being_the_first():
    order = list(schedule(Rounds(2), [IDLE, BUSY], [OURS, THEIRS]))

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
    order = list(schedule(Rounds(6), [BUSY], [OURS, THEIRS]))

    first = Counter(peer.name for _number, _workload, peer in order[::2])

    assert first == {"ours": 3, "theirs": 3}


def test_a_workload_with_a_limit_is_measured_in_the_first_rounds_alone():
    limited = replace(BUSY, most_rounds=1)
    rounds = Rounds(3, targeted={("idle", "ours"), ("busy", "ours")})

    order = schedule(rounds, [IDLE, limited], [OURS])

    found = [(number, workload.name) for number, workload, _peer in order]
    assert found == [(1, "idle"), (1, "busy"), (2, "idle"), (3, "idle")]


def test_a_peer_is_measured_only_with_what_it_can_do_and_says_why_not():
    unable = Peer("unable", lacks={"work": "it has no replies"})

    order = list(schedule(Rounds(1), [BUSY], [OURS, unable]))

    assert [peer.name for _number, _workload, peer in order] == ["ours"]
    assert BUSY.left_out(unable) == "it has no replies"
    assert BUSY.left_out(OURS) is None


def test_a_peer_may_have_one_reason_for_all_the_rest():
    unable = Peer("unable", lacks={"play": "it is not to play with", "others": "it does nothing"})

    found = [replace(BUSY, needs=work).left_out(unable) for work in ("play", "work")]

    assert found == ["it is not to play with", "it does nothing"]


def test_a_workload_may_be_for_some_peers_alone():
    ours_alone = replace(BUSY, only=("ours",), why="it is about us")

    found = [ours_alone.left_out(peer) for peer in (OURS, THEIRS)]

    assert found == [None, "it is about us"]


def test_what_no_target_is_about_is_measured_a_few_times():
    rounds = Rounds(5, targeted={("busy", "ours"), ("busy", "theirs"), ("idle", "ours")})

    found = [rounds.of(workload, peer) for workload in (IDLE, BUSY) for peer in (OURS, THEIRS)]

    assert found == [5, FEW, 5, 5]


def test_one_round_has_everything_once():
    rounds = Rounds(1, targeted={("busy", "ours")})

    order = list(schedule(rounds, [IDLE, BUSY], [OURS, THEIRS]))

    assert len(order) == 4
