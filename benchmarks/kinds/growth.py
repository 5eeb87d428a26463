"""What a call costs when there is more of everything: pending calls, services in a process."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from benchmarks.kinds.copies import declare_silent_service
from benchmarks.kinds.rpc import Rpc, listen, service_names
from benchmarks.measuring import GRACE, Bench, Figures, Meter
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, PeerProcess, connections, running

FEW = 10
SLOWEST = 500  # calls in a second


@dataclass(frozen=True)
class Pending(Rpc):
    """Calls of one service, while others that the same client has made wait for their replies.

    Those went to a service that nobody hosts. First 10 of them wait, then many more.
    """

    columns: ClassVar = {
        "few_cpu_us": "µs at 10",
        "many_cpu_us": "µs at most",
        "pending_ratio": "ratio",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return the CPU time of a call, in the client, with few and with many others pending."""
        declare_silent_service(uri)
        settings = self.client_settings(uri, bench) | {
            "job": "pending",
            "pending": [FEW, bench.pending],
        }
        with running(peer, "service", self.service_settings(uri)) as service:
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", settings) as client:
                few, many = (
                    self._listen(bench, client, count / SLOWEST) for count in (FEW, bench.pending)
                )
        return {"few_cpu_us": few, "many_cpu_us": many, "pending_ratio": many / few}

    def _listen(self, bench: Bench, client: PeerProcess, patience: float) -> float:
        meter = Meter(bench, client=client.pid)
        client.expect("begin", GRACE + patience)
        meter.start()
        end = client.expect("end", GRACE + bench.seconds)
        if end["failure"] or not end["calls"]:
            raise PeerFailed(f"{client.label}: {end['failure'] or 'no call ended'}")
        figures = meter.stop(end["calls"])
        client.expect("latencies", GRACE)
        found = figures["client_cpu_us"]
        assert found is not None
        return found

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about."""
        return 3 + 2 * (bench.seconds + bench.warm_up) + bench.pending / 4000


@dataclass(frozen=True)
class Services(Rpc):
    """The same calls to one service, then spread over `count` services of one process."""

    count: int = 50

    columns: ClassVar = {
        "one_cpu_us": "µs of one",
        "all_cpu_us": "µs of all",
        "services_ratio": "ratio",
        "connections": "connections",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return the CPU time of a call in the process of the services, and its connections."""
        one, _connections = self._measure(bench, peer, uri, 1)
        all_of_them, found = self._measure(bench, peer, uri, self.count)
        return {
            "one_cpu_us": one,
            "all_cpu_us": all_of_them,
            "services_ratio": all_of_them / one,
            "connections": found,
        }

    def _measure(self, bench: Bench, peer: Peer, uri: str, count: int) -> tuple[float, int]:
        names = {"services": service_names(count)}
        for_client = {**self.client_settings(uri, bench), **names}
        with running(peer, "service", {**self.service_settings(uri), **names}) as service:
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", for_client) as client:
                figures = listen(bench, client, service)
                found = connections(service.pid, urlsplit(uri).port or 5672)
        cpu = figures["service_cpu_us"]
        assert cpu is not None
        return cpu, found

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about: two measurements."""
        return 2 * super().expected_seconds(bench) + 2
