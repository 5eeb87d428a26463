"""One measurement, and the order of many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peer import Peer
from benchmarks.process import (
    PeerFailed,
    PeerProcess,
    cpu_seconds,
    machine_cpu_seconds,
    running,
)
from benchmarks.workloads import Workload

GRACE = 30.0  # seconds beyond what a program was asked to take


@dataclass(frozen=True)
class Measurement:
    """What one peer did with one workload in one round; times of CPU are for one call.

    `others_cpus` is how many CPUs were busy with other processes meanwhile.
    """

    round: int
    workload: str
    peer: str
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    client_cpu_us: float
    service_cpu_us: float
    broker_cpu_us: float | None
    others_cpus: float

    @property
    def cpu_us(self) -> float | None:
        """The CPU time of a call in all three processes."""
        if self.broker_cpu_us is None:
            return None
        return self.client_cpu_us + self.service_cpu_us + self.broker_cpu_us


@dataclass(frozen=True)
class Bench:
    """How to measure: count for `seconds`, after `warm_up` seconds that are not counted.

    `broker_pid` is None where the broker's process is not ours to see.
    """

    broker_pid: int | None
    seconds: float
    warm_up: float

    def measure(
        self, number: int, workload: Workload, peer: Peer, amqp_uri: str
    ) -> tuple[Measurement, dict[str, str]]:
        """Return what was measured in round `number`, and the versions of the peer's packages.

        Raises PeerFailed when a call or a program fails.
        """
        address = {"AMQP_URI": amqp_uri}
        for_service = {"config": {**workload.config, **workload.service_config, **address}}
        for_client = {
            "config": {**workload.client_config(), **address},
            "payload": workload.payload(),
            "in_flight": workload.in_flight,
            "seconds": self.seconds,
            "warm_up": self.warm_up,
        }
        with running(peer, "service", for_service) as service:
            versions = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", for_client) as client:
                figures = self._listen(client, service)
        return Measurement(number, workload.name, peer.name, **figures), versions

    def _listen(self, client: PeerProcess, service: PeerProcess) -> dict[str, Any]:
        pids = {"client": client.pid, "service": service.pid}
        if self.broker_pid is not None:
            pids["broker"] = self.broker_pid
        client.expect("begin", GRACE + self.warm_up)
        machine_before, before = machine_cpu_seconds(), _cpu_of(pids)
        end = client.expect("end", GRACE + self.seconds)
        machine, after = machine_cpu_seconds() - machine_before, _cpu_of(pids)
        if end["failure"] or not end["calls"]:
            raise PeerFailed(f"{client.label}: {end['failure'] or 'no call ended'}")
        latencies = client.expect("latencies", GRACE)
        taken = {name: after[name] - before[name] for name in pids}
        cpu = {f"{name}_cpu_us": seconds / end["calls"] * 1e6 for name, seconds in taken.items()}
        return {
            "calls_per_second": end["calls"] / end["seconds"],
            "p50_ms": latencies["p50"] * 1000,
            "p99_ms": latencies["p99"] * 1000,
            **({"broker_cpu_us": None} | cpu),
            "others_cpus": max(0.0, machine - sum(taken.values())) / end["seconds"],
        }


def _cpu_of(pids: dict[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def schedule(
    rounds: int, workloads: Sequence[Workload], peers: Sequence[Peer]
) -> Iterator[tuple[int, Workload, Peer]]:
    """Yield what to measure: in each round everything once, every other round with peers reversed.

    What disturbs the machine for a while then hits all peers, and none is always the first.
    """
    for number in range(1, rounds + 1):
        for workload in workloads:
            for peer in peers if number % 2 else reversed(peers):
                yield number, workload, peer
