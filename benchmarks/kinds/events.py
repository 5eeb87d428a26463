"""Events, from the dispatcher to the end of the handler."""

from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.kinds.copies import fill
from benchmarks.kinds.rpc import SERVICE_WORKERS
from benchmarks.measuring import GRACE, Bench, Figures, Meter, Workload
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, running

CATCHING_UP = 60.0  # seconds that handlers have for what was dispatched in the time counted


@dataclass(frozen=True)
class Events(Workload):
    """Events dispatched for a while, by so many dispatchers at once, persistent and confirmed.

    Each has `handlers` services that handle it. The clock runs from the first dispatch until the
    last event was handled: who dispatches faster than it handles gains nothing.
    """

    dispatchers: int = 1
    handlers: int = 1
    payload_size: int = 100

    columns: ClassVar = {
        "per_second": "events/s",
        "dispatched_per_second": "dispatched/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "client_cpu_us": "client µs",
        "service_cpu_us": "service µs",
        "broker_cpu_us": "broker µs",
        "cpu_us": "all three µs",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return how many events went all the way in a second, and what one took."""
        with running(peer, "service", service_settings(uri, self.handlers)) as service:
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", self._client_settings(uri, bench)) as client:
                meter = Meter(bench, client=client.pid, service=service.pid)
                client.expect("begin", GRACE + bench.warm_up)
                meter.start()
                sent = client.expect("end", GRACE + bench.seconds)
                if sent["failure"]:
                    raise PeerFailed(f"{client.label}: {sent['failure']}")
                handled = service.expect("end", CATCHING_UP)
                figures = meter.stop(sent["calls"])
                latencies = service.expect("latencies", GRACE)
        figures["per_second"] = sent["calls"] / handled["seconds"]
        figures["dispatched_per_second"] = sent["calls"] / sent["seconds"]
        figures["p50_ms"], figures["p99_ms"] = latencies["p50"] * 1000, latencies["p99"] * 1000
        return figures

    def _client_settings(self, uri: str, bench: Bench) -> dict[str, Any]:
        return {
            "job": "events",
            "uri": uri,
            "in_flight": self.dispatchers,
            "payload_size": self.payload_size,
            **bench.timing(),
        }

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about: the handlers may be half as fast."""
        return super().expected_seconds(bench) + bench.seconds


@dataclass(frozen=True)
class Drain(Workload):
    """A queue full of events, handled as fast as it goes.

    The harness fills it with copies of an event that the peer has dispatched, as a crash of all
    handlers would leave it.
    """

    payload_size: int = 100

    columns: ClassVar = {
        "per_second": "events/s",
        "service_cpu_us": "service µs",
        "broker_cpu_us": "broker µs",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return how many events were handled in a second, from the first to the last."""
        settings = service_settings(uri, 1)
        with running(peer, "service", settings) as service:
            ready = service.expect("ready", GRACE)
            bench.versions[peer.name] = ready["versions"]
        one_event = {"job": "event", "uri": uri, "payload_size": self.payload_size}
        with running(peer, "client", one_event) as client:
            client.expect("end", GRACE)
        fill(uri, ready["queue"], bench.drained)
        with running(peer, "service", {**settings, "total": bench.drained}) as service:
            meter = Meter(bench, service=service.pid)
            # The first event may be handled before the whole service is ready, or after.
            service.expect("begin", GRACE, passing="ready")
            meter.start()
            handled = service.expect("end", CATCHING_UP, passing="ready")
            figures = meter.stop(bench.drained)
        figures["per_second"] = bench.drained / handled["seconds"]
        return figures

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about: 5,000 events a second, and three programs to start."""
        return 4 + bench.drained / 4000


def service_settings(uri: str, handlers: int) -> dict[str, Any]:
    """Return what the service is told."""
    return {"job": "events", "uri": uri, "workers": SERVICE_WORKERS, "handlers": handlers}
