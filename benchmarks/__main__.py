"""Measures rpcnode beside its peers: `make bench`, or `python -m benchmarks`.

docs/benchmarks.md explains the arguments and the variables of the environment.
"""

import compileall
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.broker import Broker, broker
from benchmarks.environment import NotAvailable
from benchmarks.measuring import Bench, Failure, Measurement, Workload
from benchmarks.options import Options, read
from benchmarks.page import write_page
from benchmarks.peer import ROOT, Peer
from benchmarks.plan import Cell, schedule
from benchmarks.process import PeerFailed
from benchmarks.report import Report
from benchmarks.results import Results
from tests.rabbitmq_server import ServerFailed

PATIENCE = 2  # failures of a peer with a workload, after which it is not tried again
FOLDER = Path(__file__).parent / "results"


def main(arguments: Sequence[str]) -> int:
    """Measure and report; return 0, or 1 when a call or a program failed, 2 without a broker."""
    options = read(arguments)
    if options.results is not None:
        results = Results.load(options.results)
    else:
        try:
            results = run(options)
        except ServerFailed as exc:
            print(exc, file=sys.stderr)
            return 2
        path = results.write(FOLDER / time.strftime("%Y%m%d-%H%M%S.json"))
        print(f"\nall figures: {path}")
    print(f"\n{Report(results).text()}")
    if options.write_docs:
        write_page(results)
    return 1 if results.failures else 0


def run(options: Options) -> Results:
    """Measure everything that is wanted, with whom it can be."""
    sizes = options.sizes
    results = Results(facts={**machine(), **sizes})
    peers = available(tuple(map(Peer.load, options.peers)), results)
    with ExitStack() as stack:
        needs_broker = any(each.needs_broker for each in options.workloads)
        server = stack.enter_context(broker()) if needs_broker else None
        bench = Bench(
            server.pid if server else None,
            sizes["BENCH_SECONDS"],
            sizes["BENCH_WARM_UP"],
            int(sizes["BENCH_CALLS"]),
            int(sizes["BENCH_PENDING"]),
            int(sizes["BENCH_DRAINED"]),
            results.versions,
        )
        results.facts |= server.facts() if server else {}
        measure_all(
            server, bench, list(schedule(options.rounds, options.workloads, peers)), results
        )
    return results


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the programs."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def available(peers: Sequence[Peer], results: Results) -> list[Peer]:
    """Return the peers whose environments are there or can be made; say which are not."""
    compile_own()
    found = []
    for peer in peers:
        try:
            peer.prepare()
        except NotAvailable as exc:
            print(exc, file=sys.stderr)
            results.missing[peer.name] = str(exc)
        else:
            found.append(peer)
    return found


def compile_own() -> None:
    """Compile what lies in the project's folder, as pip does with what it installs.

    Else a Python that writes no bytecode would compile it at each start, and measure that.
    """
    for folder in ("rpcnode", "benchmarks"):
        compileall.compile_dir(ROOT / folder, rx=re.compile(r"/\.venv"), quiet=2)


def measure_all(
    server: Broker | None,
    bench: Bench,
    plan: Sequence[Cell],
    results: Results,
) -> None:
    """Measure what is planned; a failure is noted, and the rest goes on."""
    left = sum(workload.expected_seconds(bench) for _number, workload, _peer in plan)
    print(f"{len(plan)} measurements, about {left / 60:.0f} minutes", flush=True)
    for number, workload, peer in plan:
        print(f"{left / 60:4.1f} min  round {number}  {workload.name:<19}", end="", flush=True)
        print(f"{peer.name:<12}", end="", flush=True)
        try:
            print(measure(server, bench, (number, workload, peer), results), flush=True)
        except KeyboardInterrupt:
            print("\ninterrupted: what was measured is reported")
            return
        left -= workload.expected_seconds(bench)


def measure(server: Broker | None, bench: Bench, cell: Cell, results: Results) -> str:
    """Make one measurement, and note what came of it; return that for the line of progress."""
    number, workload, peer = cell
    if results.failures_of(workload.name, peer.name) >= PATIENCE:
        return "left out: it failed before"
    try:
        with virtual_host(server, workload) as uri:
            figures = workload.measure(bench, peer, uri)
    except Exception as exc:  # whatever it is, half an hour of figures must not be lost for it
        reason = str(exc) if isinstance(exc, PeerFailed) else f"{type(exc).__name__}: {exc}"
        results.failures.append(Failure(number, workload.name, peer.name, reason))
        return f"failed: {reason}"
    results.measurements.append(Measurement(number, workload.name, peer.name, figures))
    return workload.brief(figures)


def virtual_host(server: Broker | None, workload: Workload) -> AbstractContextManager[str]:
    """Yield the URI of a virtual host for one measurement; empty where none is needed."""
    if server is None or not workload.needs_broker:
        return nullcontext("")
    return server.virtual_host()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
