"""What a run has found: tables, the file, the page, charts."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import Row, bars
from benchmarks.measuring import Failure, Measurement
from benchmarks.page import write_page
from benchmarks.report import Report
from benchmarks.results import Results
from benchmarks.summary import Interval
from benchmarks.tables import Tables
from benchmarks.targets import TARGETS


def measured(number, peer, rate, **figures):
    """Return a measurement of the workload that has most targets."""
    known = {"per_second": rate, "p50_ms": 4.0, "p99_ms": 9.0, "others_cpus": 0.25}
    return Measurement(number, "rpc-100", peer, {**known, **figures})


def results(*measurements):
    """Return the results of a run."""
    facts = {"date": "2026-01-02", "cpus": 2, "python": "3.11.7", "rabbitmq": "3.10.8"}
    sizes = {"BENCH_ROUNDS": 6.0, "BENCH_SECONDS": 1.5, "BENCH_WARM_UP": 0.4}
    counts = {"BENCH_CALLS": 1e6, "BENCH_PENDING": 1e5, "BENCH_DRAINED": 2e4}
    versions = {"rpcnode": {"kombu": "5.7.0"}}
    return Results(facts | sizes | counts, versions, measurements=list(measurements))


def test_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians():
    ours = [measured(number, "rpcnode", rate) for number, rate in ((1, 100.0), (2, 900.0))]
    theirs = [measured(number, "nameko", rate) for number, rate in ((2, 300.0), (1, 10.0))]

    tables = Tables(results(*ours, *theirs))
    found = tables.ratio("rpc-100", "rpcnode", "nameko", "per_second")

    assert (found.median, found.low, found.high) == (6.5, 3.0, 10.0)


def test_table_has_a_line_for_each_peer_and_ratios_for_the_others():
    found = results(measured(1, "nameko", 800.0), measured(1, "rpcnode", 4000.0))

    table = Report(found).text().splitlines()

    assert table[0].startswith("RPC, 100 in flight, 100 B")
    assert table[1].split() == ["rpcnode", "4,000", "4", "9", "-", "-", "-", "-", "-"]
    assert table[2].split()[:2] == ["nameko", "800"]
    assert table[2].endswith("5.00  (5.00 to 5.00)")


def test_what_failed_and_what_else_ran_is_said():
    found = results(measured(1, "rpcnode", 4000.0), measured(2, "rpcnode", 1.0, others_cpus=0.75))
    found.failures.append(Failure(1, "rpc-100", "nameko", "it hung"))
    found.missing["celery"] = "no environment for celery: no index"

    text = Report(found).text()

    assert "failed: round 1, rpc-100, nameko: it hung" in text
    assert "not measured: no environment for celery: no index" in text
    assert text.endswith("CPUs busy with other processes meanwhile: 0.50, 0.75 at most")


def test_nothing_measured_is_reported_as_well():
    text = Report(Results()).text()

    assert text.startswith(f"targets that were not measured: {len(TARGETS)}")
    assert text.endswith("not known")


def test_file_gives_back_what_was_written(tmp_path):
    found = results(measured(1, "rpcnode", 4000.0, broker_cpu_us=None))
    found.failures.append(Failure(1, "rpc-100", "nameko", "it hung"))

    path = found.write(tmp_path / "results" / "run.json")

    assert Results.load(path) == found


def test_page_has_targets_figures_and_charts(tmp_path):
    found = results(measured(1, "rpcnode", 4000.0), measured(1, "nameko", 800.0))

    write_page(found, tmp_path)

    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert (
        "| `rpc-100` | per_second | at least 12 times nameko's | 5.00 (median 5.00) | missed |"
        in page
    )
    assert "Nothing failed." in page
    assert "](charts/rpc-100.svg)" in page
    assert "${" not in page
    chart = ET.fromstring((tmp_path / "charts" / "rpc-100.svg").read_text())
    assert [each.text for each in chart.iter() if each.text == "4,000"] == ["4,000"]


@pytest.mark.parametrize("high", [0.001, 9.0, 1e6])
def test_longest_bar_fits_the_chart_and_titles_may_have_any_character(high):
    rows = [Row("<us>", Interval(high / 2, high / 4, high, 0.97), is_ours=True)]

    chart = ET.fromstring(bars("a < b & c", rows))

    widths = [float(each.get("width", 0)) for each in chart.iter() if "rect" in each.tag]
    assert max(widths[1:]) < widths[0]
    assert "<us>" in [each.text for each in chart.iter()]
