"""What is to be reached, and whether it was."""

from dataclasses import replace

import pytest

from benchmarks.measuring import Measurement
from benchmarks.results import Results
from benchmarks.tables import Tables
from benchmarks.targets import TARGETS, Target, Verdict, verdicts

AT_LEAST = Target("rpc-100", "per_second", 12, is_least=True, peer="nameko")
AT_MOST = Target("rpc-100", "p99_per_p50", 3, is_least=False)


def tables(*, ours, theirs=1000.0, metric="per_second"):
    """Return the tables of a run with as many rounds as figures of ours."""
    found = [
        Measurement(number, "rpc-100", peer, {metric: figure})
        for number, own in enumerate(ours, 1)
        for peer, figure in (("rpcnode", own), ("nameko", theirs))
    ]
    return Tables(Results(measurements=found))


@pytest.mark.parametrize(
    ("ours", "outcome"), [([12000.0, 15000.0], "met"), ([11990.0, 15000.0], "missed")]
)
def test_the_lower_end_counts_where_more_is_better(ours, outcome):
    found = AT_LEAST.found(tables(ours=ours))

    verdict = Verdict(AT_LEAST, found)

    assert verdict.outcome == outcome


@pytest.mark.parametrize(("ours", "outcome"), [([2.0, 3.0], "met"), ([2.0, 3.01], "missed")])
def test_the_upper_end_counts_where_less_is_better(ours, outcome):
    found = AT_MOST.found(tables(ours=ours, metric="p99_per_p50"))

    verdict = Verdict(AT_MOST, found)

    assert verdict.outcome == outcome
    assert verdict.figure == f"{ours[1]:.2f} (median {sum(ours) / 2:.2f})"


def test_what_was_not_measured_is_said_to_be_so():
    found = verdicts(Tables(Results()))

    assert {each.outcome for each in found} == {"not measured"}
    assert len(found) == len(TARGETS)


def test_a_target_is_said_in_words():
    assert AT_LEAST.wording() == "at least 12 times nameko's"
    assert AT_MOST.wording() == "at most 3"
    assert replace(AT_LEAST, bound=1).wording() == "at least nameko's"
