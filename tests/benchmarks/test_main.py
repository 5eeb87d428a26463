"""A run: who is measured, what becomes of a measurement that fails."""

from dataclasses import replace

import benchmarks.__main__ as run
from benchmarks.environment import NotAvailable
from benchmarks.measuring import Bench, Workload
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed
from benchmarks.results import Results

OURS = Peer("rpcnode", does=frozenset({"work"}))
THEIRS = Peer("theirs", does=frozenset({"work"}))


class Missing(Peer):
    """A peer that cannot be had."""

    def prepare(self):
        raise NotAvailable("no environment for missing: the index does not answer")


class Brittle(Workload):
    """A workload that works with rpcnode alone, and without a broker."""

    columns = {"per_second": "calls/s"}
    needs_broker = False

    def measure(self, bench, peer, uri):
        if peer != OURS:
            raise PeerFailed("theirs's service said 'nothing'")
        return {"per_second": 1234.0}


BRITTLE = Brittle("brittle", "work", "works sometimes")


def test_a_peer_that_cannot_be_had_is_reported_and_left_out(capsys):
    results = Results()

    found = run.available((OURS, Missing("missing")), results)

    assert found == [OURS]
    assert "the index does not answer" in capsys.readouterr().err
    assert list(results.missing) == ["missing"]


def test_a_measurement_that_fails_is_noted_and_the_run_goes_on(capsys):
    results, plan = Results(), [(1, BRITTLE, THEIRS), (1, BRITTLE, OURS)]

    run.measure_all(None, Bench(None, 1, 0), plan, results)

    (failure,) = results.failures
    (measurement,) = results.measurements
    assert (failure.peer, failure.reason) == ("theirs", "theirs's service said 'nothing'")
    assert (measurement.peer, measurement.figures) == ("rpcnode", {"per_second": 1234.0})
    assert "failed: theirs's service" in capsys.readouterr().out


def test_progress_begins_with_what_is_to_come(capsys):
    plan = [(1, replace(BRITTLE, name=f"number {number}"), OURS) for number in range(20)]

    run.measure_all(None, Bench(None, 1, 0.5), plan, Results())

    first, second, *_rest = capsys.readouterr().out.splitlines()
    assert first == "20 measurements, about 1 minutes"
    assert second.split() == [
        "1.0",
        "min",
        "round",
        "1",
        "number",
        "0",
        "rpcnode",
        "1,234",
        "calls/s",
    ]


def test_what_failed_twice_is_not_tried_again(capsys):
    results, plan = Results(), [(number, BRITTLE, THEIRS) for number in (1, 2, 3)]

    run.measure_all(None, Bench(None, 1, 0), plan, results)

    assert [failure.round for failure in results.failures] == [1, 2]
    assert capsys.readouterr().out.endswith("left out: it failed before\n")


class Interrupted(Brittle):
    """A workload at which somebody loses patience."""

    def measure(self, bench, peer, uri):
        raise KeyboardInterrupt


def test_what_was_measured_before_an_interrupt_is_kept():
    plan = [(1, BRITTLE, OURS), (1, Interrupted("slow", "work", "slow"), OURS), (2, BRITTLE, OURS)]
    results = Results()

    run.measure_all(None, Bench(None, 1, 0), plan, results)

    assert [each.round for each in results.measurements] == [1]


class Wrong(Brittle):
    """A workload with a mistake of its own."""

    def measure(self, bench, peer, uri):
        raise ZeroDivisionError("float division by zero")


def test_a_mistake_of_the_harness_costs_one_measurement_alone():
    plan = [(1, Wrong("wrong", "work", "wrong"), OURS), (1, BRITTLE, OURS)]
    results = Results()

    run.measure_all(None, Bench(None, 1, 0), plan, results)

    assert [each.reason for each in results.failures] == [
        "ZeroDivisionError: float division by zero"
    ]
    assert len(results.measurements) == 1
