"""What the measurements say: a table for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measurement
from benchmarks.peer import NAMEKO, RPCNODE
from benchmarks.summary import Spread, ratios, spread
from benchmarks.workloads import BUSY

AIM = 4.0  # times Nameko's calls per second, in the workload BUSY
COLUMNS = {
    "calls_per_second": "calls/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "client_cpu_us": "client µs",
    "service_cpu_us": "service µs",
    "broker_cpu_us": "broker µs",
    "cpu_us": "all three µs",
}


class Report:
    """Reads measurements."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self.measurements = measurements
        self.workloads = list(dict.fromkeys(each.workload for each in measurements))
        names = {each.peer for each in measurements}
        self.others = sorted(names - {RPCNODE.name})

    def rounds(self, workload: str, peer: str, metric: str) -> dict[int, float | None]:
        """Return one metric of one peer in each round."""
        return {
            each.round: getattr(each, metric)
            for each in self.measurements
            if (each.workload, each.peer) == (workload, peer)
        }

    def ratio(self, workload: str, peer: str, metric: str) -> Spread | None:
        """Return the spread of rpcnode / peer over the rounds; None when one was not measured."""
        ours = self.rounds(workload, RPCNODE.name, metric)
        return spread(ratios(ours, self.rounds(workload, peer, metric)).values())

    def table(self) -> str:
        """Return the table: medians over the rounds, and the ratios with their spread."""
        return "\n\n".join("\n".join(self._block(workload)) for workload in self.workloads)

    def _block(self, workload: str) -> Iterable[str]:
        yield _line(workload, COLUMNS.values())
        for peer in (RPCNODE.name, *self.others):
            found = [spread(self.rounds(workload, peer, metric).values()) for metric in COLUMNS]
            yield _line(peer, map(_number, found))
        for peer in self.others:
            found = [self.ratio(workload, peer, metric) for metric in COLUMNS]
            yield _line(f"rpcnode / {peer}", [f"{one.median:.2f}" if one else "-" for one in found])
            yield _line("", [f"{one.low:.2f}..{one.high:.2f}" if one else "" for one in found])

    def verdict(self) -> str:
        """Return the line that says whether the aim is reached."""
        found = self.ratio(BUSY.name, NAMEKO.name, "calls_per_second")
        if found is None:
            return f"no ratio to Nameko at {BUSY.name}: one of the two was not measured"
        outcome = "reached" if found.median >= AIM else "not reached"
        return (
            f"{found.median:.2f} times Nameko's calls/s at {BUSY.name} "
            f"({found.low:.2f} to {found.high:.2f}); the aim is {AIM:g}: {outcome}"
        )

    def disturbance(self) -> str:
        """Return the line that says what else the machine did."""
        found = spread(each.others_cpus for each in self.measurements)
        if found is None:
            return "nothing was measured"
        busy = f"{found.median:.2f}, {found.high:.2f} at most"
        return f"CPUs busy with other processes meanwhile: {busy}"

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write everything, with `facts` about the run, as JSON."""
        compared = [
            {"workload": workload, "peer": peer, "metric": metric, **asdict(found)}
            for workload in self.workloads
            for peer in self.others
            for metric in COLUMNS
            if (found := self.ratio(workload, peer, metric)) is not None
        ]
        measured = [asdict(each) for each in self.measurements]
        document = {**facts, "verdict": self.verdict(), "ratios": compared, "measured": measured}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _line(title: str, cells: Iterable[str]) -> str:
    return f"{title:<32}" + "".join(f"{cell:>13}" for cell in cells)


def _number(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"{found.median:,.0f}" if found.median >= 100 else f"{found.median:.3g}"
