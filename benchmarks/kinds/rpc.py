"""Calls and replies: as soon as one call has its reply the next one is made."""

from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.measuring import GRACE, Bench, Figures, Meter, Workload
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, PeerProcess, resident_mb, running

SERVICE_WORKERS = 100  # as many as calls are in flight in the workload that has most targets


def service_names(count: int) -> list[str]:
    """Return the names of so many services; the first is the one that is called."""
    return ["bench", *(f"bench{number}" for number in range(2, count + 1))]


@dataclass(frozen=True)
class Rpc(Workload):
    """Calls of `echo`, so many in flight, each with so many bytes of JSON.

    `workers` is how many the service has; None leaves it to the framework. In a chain of
    services each one calls the next.
    """

    in_flight: int = 1
    payload_size: int = 100
    is_persistent: bool = False
    workers: int | None = SERVICE_WORKERS
    chain: int = 1

    columns: ClassVar = {
        "per_second": "calls/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "client_cpu_us": "client µs",
        "service_cpu_us": "service µs",
        "broker_cpu_us": "broker µs",
        "cpu_us": "all three µs",
        "service_mb": "service MB",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return what the calls took, and the memory of the service under this load."""
        with running(peer, "service", self.service_settings(uri)) as service:
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", self.client_settings(uri, bench)) as client:
                return listen(bench, client, service)

    def service_settings(self, uri: str) -> dict[str, Any]:
        """Return what the service is told."""
        return {
            "job": "chain" if self.chain > 1 else "rpc",
            "uri": uri,
            "workers": self.workers,
            "persistent": self.is_persistent,
            "services": service_names(self.chain),
        }

    def client_settings(self, uri: str, bench: Bench) -> dict[str, Any]:
        """Return what the client is told."""
        return {
            "job": "rpc",
            "uri": uri,
            "persistent": self.is_persistent,
            "services": service_names(1),
            "in_flight": self.in_flight,
            "payload_size": self.payload_size,
            **bench.timing(),
        }


def listen(bench: Bench, client: PeerProcess, service: PeerProcess) -> Figures:
    """Return what a client that calls, and the processes, say about one measurement."""
    meter = Meter(bench, client=client.pid, service=service.pid)
    client.expect("begin", GRACE + bench.warm_up)
    meter.start()
    end = client.expect("end", GRACE + bench.seconds)
    if end["failure"] or not end["calls"]:
        raise PeerFailed(f"{client.label}: {end['failure'] or 'no call ended'}")
    figures = meter.stop(end["calls"])
    figures["service_mb"] = resident_mb(service.pid)
    latencies = client.expect("latencies", GRACE)
    figures["per_second"] = end["calls"] / end["seconds"]
    figures["p50_ms"], figures["p99_ms"] = latencies["p50"] * 1000, latencies["p99"] * 1000
    figures["p99_per_p50"] = latencies["p99"] / latencies["p50"]
    return figures
