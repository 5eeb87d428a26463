"""What every measurement has: a workload, a bench to measure it on, a meter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from benchmarks.peer import Peer
from benchmarks.process import cpu_seconds, machine_cpu_seconds

GRACE = 30.0  # seconds beyond what a program was asked to take

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Measurement:
    """What one peer did with one workload in one round."""

    round: int
    workload: str
    peer: str
    figures: Figures


@dataclass(frozen=True)
class Failure:
    """Why a peer has no figures for one workload in one round."""

    round: int
    workload: str
    peer: str
    reason: str


@dataclass(frozen=True)
class Bench:
    """How to measure: count for `seconds`, after `warm_up` seconds that are not counted.

    `broker_pid` is None where the broker's process is not ours to see. `calls` is how many the
    memory is looked at after, `pending` how many calls wait in the measurement of growth,
    `drained` the length of the queue that is drained. `versions` is filled meanwhile: what each
    peer runs on.
    """

    broker_pid: int | None
    seconds: float
    warm_up: float
    calls: int = 1_000_000
    pending: int = 100_000
    drained: int = 20_000
    versions: dict[str, dict[str, str]] = field(default_factory=dict)

    def timing(self) -> dict[str, float]:
        """Return what every client is told about time."""
        return {"seconds": self.seconds, "warm_up": self.warm_up}


class Meter:
    """Reads the CPU time of processes, named by what they are, and of the whole machine."""

    def __init__(self, bench: Bench, **pids: int) -> None:
        self._pids = pids if bench.broker_pid is None else {**pids, "broker": bench.broker_pid}

    def start(self) -> None:
        """Note where the clocks stand."""
        self._began = time.monotonic()
        self._machine, self._before = machine_cpu_seconds(), self._read()

    def stop(self, operations: float) -> Figures:
        """Return the microseconds of CPU that one of so many `operations` took, where it did.

        `others_cpus` is how many CPUs were busy with other processes meanwhile.
        """
        machine, after = machine_cpu_seconds() - self._machine, self._read()
        taken = {name: after[name] - self._before[name] for name in self._pids}
        figures: Figures = dict.fromkeys(("client_cpu_us", "service_cpu_us", "broker_cpu_us"))
        figures |= {f"{name}_cpu_us": each / operations * 1e6 for name, each in taken.items()}
        known = None not in (figures["broker_cpu_us"], figures["service_cpu_us"])
        figures["cpu_us"] = sum(taken.values()) / operations * 1e6 if known else None
        others = max(0.0, machine - sum(taken.values()))
        figures["others_cpus"] = others / (time.monotonic() - self._began)
        return figures

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids.items()}


@dataclass(frozen=True)
class Workload:
    """One thing that is measured; a subclass is a kind of them, in a module of `kinds`.

    `needs` is the kind of work that a peer must be able to do. `most_rounds` is in how many rounds
    it is measured at most: what takes long, or shows only the shape of things. `only` are the peers
    that it is measured with, for the reason `why`; all if empty.
    """

    name: str
    needs: str
    title: str
    most_rounds: int | None = None
    only: tuple[str, ...] = ()
    why: str = ""

    # What is shown of it, and under which heading.
    columns: ClassVar[Mapping[str, str]]
    needs_broker: ClassVar[bool] = True

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return what was measured; raise PeerFailed when a call or a program fails.

        `uri` is that of a virtual host of its own; empty where no broker is needed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it is measured")

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long a measurement takes, about, all preparations included."""
        return bench.seconds + bench.warm_up + 1.5

    def brief(self, figures: Figures) -> str:
        """Return the first of its figures, for the line that tells the progress."""
        name, heading = next(iter(self.columns.items()))
        return f"{shown(figures[name])} {heading}"

    def left_out(self, peer: Peer) -> str | None:
        """Return why it is not measured with a peer; None where it is."""
        if self.needs not in peer.does:
            return peer.reason(self.needs)
        if self.only and peer.name not in self.only:
            return self.why
        return None


def shown(value: float | None) -> str:
    """Return a figure for people: three digits, or all of a large one."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
