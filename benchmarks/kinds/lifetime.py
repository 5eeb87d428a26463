"""What a service takes from its start on: the time to its first reply, and memory."""

import time
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.kinds.rpc import Rpc
from benchmarks.measuring import GRACE, Bench, Figures
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, resident_mb, running

EARLY = 10_000  # calls after which the memory of a service has found its size
SLOWEST = 500  # calls in a second


@dataclass(frozen=True)
class StartUp(Rpc):
    """A service that starts while a call waits for it in its queue.

    The clock runs from the start of its process until the client has the reply. Its memory is
    read then.
    """

    columns: ClassVar = {"first_reply_s": "first reply s", "idle_mb": "idle MB"}

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return the seconds until the first reply, and the memory of the idle service."""
        settings = self.service_settings(uri)
        with running(peer, "service", settings) as service:  # it leaves its queue
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
        with running(
            peer, "client", {**self.client_settings(uri, bench), "job": "first"}
        ) as client:
            client.expect("begin", GRACE)
            begin = time.monotonic()
            with running(peer, "service", settings) as service:
                end = client.expect("end", GRACE)
                service.expect("ready", GRACE)
                idle = resident_mb(service.pid)
        if end["failure"]:
            raise PeerFailed(f"{client.label}: {end['failure']}")
        return {"first_reply_s": end["at"] - begin, "idle_mb": idle}


@dataclass(frozen=True)
class Memory(Rpc):
    """Many calls, 100 at a time; the memory of both programs after 10,000 and at the end."""

    columns: ClassVar = {
        "early_mb": "after 10,000",
        "late_mb": "at the end",
        "service_growth_mb": "service grew",
        "client_growth_mb": "client grew",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return the resident memory of the service, and by how much it and the client grew."""
        calls = max(bench.calls, EARLY)
        counting = {"job": "count", "marks": [EARLY, calls]}
        with running(peer, "service", self.service_settings(uri)) as service:
            bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
            with running(peer, "client", self.client_settings(uri, bench) | counting) as client:
                client.expect("reached", GRACE + EARLY / SLOWEST)
                early, early_client = resident_mb(service.pid), resident_mb(client.pid)
                client.expect("reached", GRACE + calls / SLOWEST)
                late, late_client = resident_mb(service.pid), resident_mb(client.pid)
        return {
            "early_mb": early,
            "late_mb": late,
            "service_growth_mb": late - early,
            "client_growth_mb": late_client - early_client,
        }

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about."""
        return 3 + bench.calls / 8000
