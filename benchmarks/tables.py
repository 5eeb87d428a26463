"""The figures of a run, by workload, peer and metric."""

from benchmarks.results import Results
from benchmarks.summary import Interval, interval, ratios


class Tables:
    """Looks figures up in the results of a run."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._figures = {
            (each.workload, each.peer, each.round): each.figures for each in results.measurements
        }

    def peers(self, workload: str) -> list[str]:
        """Return who was measured with a workload, in the order of the first measurements."""
        return list(dict.fromkeys(peer for name, peer, _round in self._figures if name == workload))

    def rounds(self, workload: str, peer: str, metric: str) -> dict[int, float | None]:
        """Return one metric of one peer in each round."""
        return {
            number: figures.get(metric)
            for (name, who, number), figures in self._figures.items()
            if (name, who) == (workload, peer)
        }

    def own(self, workload: str, peer: str, metric: str) -> Interval | None:
        """Return the interval of a metric over the rounds; None when it was not measured."""
        return interval(self.rounds(workload, peer, metric).values())

    def ratio(self, workload: str, ours: str, peer: str, metric: str) -> Interval | None:
        """Return the interval of ours / the peer's over the rounds; None when one is missing."""
        numerators = self.rounds(workload, ours, metric)
        return interval(ratios(numerators, self.rounds(workload, peer, metric)).values())

    def disturbance(self) -> Interval | None:
        """Return how many CPUs other processes kept busy during the measurements."""
        return interval(each.figures.get("others_cpus") for each in self.results.measurements)
