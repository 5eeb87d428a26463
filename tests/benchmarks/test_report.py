"""What the measurements say."""

import json

import pytest

from benchmarks.measuring import Measurement
from benchmarks.report import Report
from benchmarks.workloads import BUSY


def measured(number, peer, rate, broker_cpu_us=30.0):
    """Return a measurement of the workload that has an aim."""
    return Measurement(number, BUSY.name, peer, rate, 4.0, 9.0, 15.0, 12.0, broker_cpu_us, 0.25)


@pytest.mark.parametrize(("ours", "outcome"), [(3990.0, "not reached"), (4000.0, "reached")])
def test_verdict_says_whether_the_aim_is_reached(ours, outcome):
    report = Report([measured(1, "rpcnode", ours), measured(1, "nameko", 1000.0)])

    verdict = report.verdict()

    assert verdict.endswith(f"the aim is 4: {outcome}")


def test_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians():
    ours = [measured(number, "rpcnode", rate) for number, rate in ((1, 100.0), (2, 900.0))]
    theirs = [measured(number, "nameko", rate) for number, rate in ((2, 300.0), (1, 10.0))]

    found = Report([*ours, *theirs]).ratio(BUSY.name, "nameko", "calls_per_second")

    assert (found.median, found.low, found.high) == (6.5, 3.0, 10.0)


def test_a_peer_that_could_not_be_had_leaves_figures_without_a_ratio():
    report = Report([measured(1, "rpcnode", 4000.0)])

    table, verdict = report.table(), report.verdict()

    assert "4,000" in table
    assert verdict.startswith("no ratio to Nameko")


def test_what_could_not_be_measured_is_a_dash_in_the_table():
    report = Report([measured(1, "rpcnode", 4000.0, broker_cpu_us=None)])

    last_line = report.table().splitlines()[-1]

    assert last_line.split() == ["rpcnode", "4,000", "4", "9", "15", "12", "-", "-"]


def test_times_of_cpu_are_added_up_and_what_else_ran_is_said():
    report = Report([measured(1, "rpcnode", 4000.0, broker_cpu_us=30.0)])

    last_line, disturbance = report.table().splitlines()[-1], report.disturbance()

    assert last_line.split()[-1] == "57"
    assert disturbance == "CPUs busy with other processes meanwhile: 0.25, 0.25 at most"


def test_nothing_measured_is_reported_as_well():
    report = Report([])

    table, verdict = report.table(), report.verdict()

    assert table == ""
    assert verdict.startswith("no ratio to Nameko")


def test_file_has_the_measurements_the_ratios_and_the_facts(tmp_path):
    report = Report([measured(1, "rpcnode", 4000.0), measured(1, "nameko", 800.0)])
    path = tmp_path / "results" / "run.json"

    report.write(path, {"cpus": 2})

    document = json.loads(path.read_text())
    rate = document["ratios"][0]
    assert document["cpus"] == 2
    assert [each["calls_per_second"] for each in document["measured"]] == [4000.0, 800.0]
    assert (rate["peer"], rate["metric"], rate["median"]) == ("nameko", "calls_per_second", 5.0)
