"""Writes docs/benchmarks.md: the text is that of page.md beside this, the figures are a run's."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.chart import Row, bars
from benchmarks.measuring import Workload
from benchmarks.options import FULL
from benchmarks.peer import PROMISES, ROOT, Peer, load_peers
from benchmarks.report import Report, left_out
from benchmarks.results import Results
from benchmarks.targets import OURS, verdicts
from benchmarks.workloads import WORKLOADS

TEMPLATE = Path(__file__).parent / "page.md"
DOCS = ROOT / "docs"
CHARTED = ("rpc-100", "rpc-1", "rpc-10-1mb", "events-100", "http-hello", "http-post")


def write_page(results: Results, docs: Path = DOCS) -> None:
    """Write the page and its charts into the folder of the documentation."""
    report = Report(results)
    peers = load_peers()
    charts = dict(_charts(report))
    folder = docs / "charts"
    folder.mkdir(exist_ok=True)
    for name, text in charts.items():
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        machine=_machine(results),
        versions="\n".join(_versions(results)),
        sizes=_sizes(results.facts),
        promises="\n".join(_promises(peers)),
        hows="\n".join(f"- **{peer.title}**: {peer.how}." for peer in peers),
        workloads="\n".join(_workloads(WORKLOADS)),
        left_out="\n".join(_left_out(peers)),
        targets="\n".join(_targets(report)),
        charts="\n\n".join(_image(report, name) for name in charts),
        figures="\n\n".join("\n".join(report.block(each)) for each in report.workloads),
        failures="\n".join(_failures(report)),
        disturbance=report.disturbance(),
    )
    (docs / "benchmarks.md").write_text(text, encoding="utf-8")


def _machine(results: Results) -> str:
    facts = results.facts
    broker = f"RabbitMQ {facts.get('rabbitmq', '?')} on Erlang {facts.get('erlang', '?')}"
    where = f"{facts['cpus']} cores, everything on them: client, service and {broker}"
    return f"{facts['date']}, {where}. CPython {facts['python']}."


def _versions(results: Results) -> Iterator[str]:
    for peer, versions in results.versions.items():
        yield f"- {peer}: " + ", ".join(f"{name} {found}" for name, found in versions.items())


def _sizes(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}={facts[name]:g}`" for name in FULL)


def _promises(peers: Iterable[Peer]) -> Iterator[str]:
    yield _row(["peer", "persistent?", "confirmed?", "acked", "errors", "deadline"])
    yield _row(["---"] * 6)
    for peer in peers:
        yield _row([peer.title, *(peer.promises[each] for each in PROMISES)])


def _workloads(workloads: Iterable[Workload]) -> Iterator[str]:
    yield _row(["name", "what", "rounds"])
    yield _row(["---"] * 3)
    for each in workloads:
        rounds = "" if each.most_rounds is None else f"{each.most_rounds} at most"
        yield _row([f"`{each.name}`", each.title, rounds])


def _left_out(peers: Iterable[Peer]) -> Iterator[str]:
    """Yield a row for each peer and reason, with all workloads that it holds for."""
    rows: dict[tuple[str, str], list[str]] = {}
    for workload, peer, reason in left_out(peers):
        rows.setdefault((peer, reason), []).append(f"`{workload}`")
    yield _row(["peer", "not measured", "because"])
    yield _row(["---"] * 3)
    for (peer, reason), workloads in rows.items():
        yield _row([peer, ", ".join(workloads), reason])


def _targets(report: Report) -> Iterator[str]:
    yield _row(["workload", "figure", "target", "found", ""])
    yield _row(["---"] * 5)
    for each in verdicts(report.tables):
        target = each.target
        wording = target.wording()
        yield _row([f"`{target.workload}`", target.metric, wording, each.figure, each.outcome])


def _charts(report: Report) -> Iterator[tuple[str, str]]:
    for workload in report.workloads:
        if workload.name in CHARTED:
            metric, heading = next(iter(workload.columns.items()))
            found = [
                (peer, report.tables.own(workload.name, peer, metric))
                for peer in report.ordered(workload)
            ]
            rows = [Row(peer, each, is_ours=peer == OURS) for peer, each in found if each]
            yield workload.name, bars(f"{workload.title}: {heading}", rows)


def _image(report: Report, name: str) -> str:
    title = next(each.title for each in report.workloads if each.name == name)
    return f"![{title}](charts/{name}.svg)"


def _failures(report: Report) -> Iterator[str]:
    found = list(report.failures())
    yield "Nothing failed." if not found else "What failed, or could not be had:\n"
    yield from (f"- {each}" for each in found)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
