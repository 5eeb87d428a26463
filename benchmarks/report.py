"""What a run has found, in words and tables for people."""

from collections.abc import Iterable, Iterator

from benchmarks.measuring import Workload, shown
from benchmarks.peer import NAMES, Peer
from benchmarks.results import Results
from benchmarks.tables import Tables
from benchmarks.targets import OURS, verdicts
from benchmarks.workloads import WORKLOADS


class Report:
    """Reads the results of a run."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.tables = Tables(results)
        measured = {each.workload for each in results.measurements}
        self.workloads = [each for each in WORKLOADS if each.name in measured]

    def text(self) -> str:
        """Return everything."""
        blocks = ["\n".join(self.block(each)) for each in self.workloads]
        parts = [*blocks, *self.failures(), "\n".join(self.targets()), self.disturbance()]
        return "\n\n".join(part for part in parts if part)

    def block(self, workload: Workload) -> Iterator[str]:
        """Yield the lines of one workload: medians, and our ratio to each peer with its interval.

        The ratio is that of the first column.
        """
        headline = next(iter(workload.columns))
        peers = self.ordered(workload)
        compared = ["rpcnode / it"] if len(peers) > 1 else []
        yield _line(workload.title, [*workload.columns.values(), *compared])
        for peer in peers:
            found = [self.tables.own(workload.name, peer, each) for each in workload.columns]
            cells = [shown(each.median if each else None) for each in found]
            yield _line(f"  {peer}", cells) + self._ratio(workload.name, peer, headline)

    def ordered(self, workload: Workload) -> list[str]:
        """Return who was measured with a workload, in the order in which peers are listed."""
        measured = self.tables.peers(workload.name)
        return [peer for peer in NAMES if peer in measured]

    def _ratio(self, workload: str, peer: str, metric: str) -> str:
        found = None if peer == OURS else self.tables.ratio(workload, OURS, peer, metric)
        return f"{found.median:>14.2f}  ({found.low:.2f} to {found.high:.2f})" if found else ""

    def failures(self) -> Iterator[str]:
        """Yield a line for each measurement that failed, and each peer that could not be had."""
        for reason in self.results.missing.values():
            yield f"not measured: {reason}"
        for each in self.results.failures:
            yield f"failed: round {each.round}, {each.workload}, {each.peer}: {each.reason}"

    def targets(self) -> Iterator[str]:
        """Yield a line for each target that there are figures for, and the number of others."""
        said = verdicts(self.tables)
        known = [each for each in said if each.found is not None]
        for each in known:
            target = each.target
            title = f"{target.workload} {target.metric} {target.wording()}"
            yield f"{title:<60} {each.figure:<28} {each.outcome}"
        if len(known) < len(said):
            yield f"targets that were not measured: {len(said) - len(known)}"

    def disturbance(self) -> str:
        """Return the line that says what else the machine did."""
        found = [each.figures.get("others_cpus") for each in self.results.measurements]
        known = [each for each in found if each is not None]
        median = self.tables.disturbance()
        if median is None:
            return "CPUs busy with other processes meanwhile: not known"
        busy = f"{median.median:.2f}, {max(known):.2f} at most"
        return f"CPUs busy with other processes meanwhile: {busy}"


def left_out(peers: Iterable[Peer]) -> Iterator[tuple[str, str, str]]:
    """Yield workload, peer and reason of each measurement that is never made."""
    for workload in WORKLOADS:
        for peer in peers:
            reason = workload.left_out(peer)
            if reason is not None:
                yield workload.name, peer.name, reason


def _line(title: str, cells: Iterable[str]) -> str:
    return f"{title:<46}" + "".join(f"{cell:>14}" for cell in cells)
