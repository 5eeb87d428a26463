"""What a run is told: by arguments, which choose, and by the environment, which says how long."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Workload
from benchmarks.peer import NAMES
from benchmarks.plan import Rounds
from benchmarks.targets import targeted
from benchmarks.workloads import QUICK, QUICK_PEERS, WORKLOADS

FULL = {
    "BENCH_ROUNDS": 6,
    "BENCH_SECONDS": 1.3,
    "BENCH_WARM_UP": 0.3,
    "BENCH_CALLS": 1_000_000,
    "BENCH_PENDING": 100_000,
    "BENCH_DRAINED": 20_000,
}
IN_QUICK_MODE = {
    "BENCH_ROUNDS": 2,
    "BENCH_SECONDS": 0.8,
    "BENCH_WARM_UP": 0.3,
    "BENCH_CALLS": 20_000,
    "BENCH_PENDING": 5_000,
    "BENCH_DRAINED": 5_000,
}


@dataclass(frozen=True)
class Options:
    """What to measure, and how long."""

    workloads: tuple[Workload, ...]
    peers: tuple[str, ...]
    sizes: Mapping[str, float]
    all_rounds: bool
    write_docs: bool
    results: Path | None

    @property
    def rounds(self) -> Rounds:
        """How often what is measured."""
        return Rounds(int(self.sizes["BENCH_ROUNDS"]), None if self.all_rounds else targeted())


def read(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Return the options; ends the program, with a reason, where they make no sense."""
    parser = _parser()
    said = parser.parse_args(arguments)
    quick = said.quick or environment.get("BENCH_QUICK") == "1"
    defaults = IN_QUICK_MODE if quick else FULL
    try:
        sizes = {name: float(environment.get(name) or value) for name, value in defaults.items()}
    except ValueError as exc:
        parser.error(f"a variable BENCH_... is no number: {exc}")
    names = said.workload or (QUICK if quick else [each.name for each in WORKLOADS])
    chosen = [each for each in WORKLOADS if each.name in names]
    peers = tuple(said.peer or (QUICK_PEERS if quick else NAMES))
    return Options(tuple(chosen), peers, sizes, said.all_rounds, said.write_docs, said.results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peer", action="append", choices=NAMES, help="measure it; repeatable")
    parser.add_argument(
        "--workload",
        action="append",
        choices=[each.name for each in WORKLOADS],
        metavar="NAME",
        help="measure it; repeatable: " + ", ".join(each.name for each in WORKLOADS),
    )
    parser.add_argument("--quick", action="store_true", help="a first impression, in 3 minutes")
    parser.add_argument(
        "--all-rounds",
        action="store_true",
        help="what no target is about, too, in all rounds: takes more than an hour",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/benchmarks.md and its charts"
    )
    parser.add_argument(
        "--results", type=Path, help="measure nothing, report what this file of results has"
    )
    return parser
