"""What rpcnode is to reach, and whether a run shows that it does."""

from dataclasses import dataclass

from benchmarks.peer import NAMES
from benchmarks.summary import Interval
from benchmarks.tables import Tables

OURS = NAMES[0]
PYTHON_PEERS = ("nameko", "faststream", "celery", "aio_pika", "pika", "kombu", "py_amqp")


@dataclass(frozen=True)
class Target:
    """A bound of one figure: of rpcnode's own, or of its ratio to a peer's.

    The end of the interval counts that is worse for us.
    """

    workload: str
    metric: str
    bound: float
    is_least: bool
    peer: str | None = None

    def found(self, tables: Tables) -> Interval | None:
        """Return what was measured; None when it was not."""
        if self.peer is None:
            return tables.own(self.workload, OURS, self.metric)
        return tables.ratio(self.workload, OURS, self.peer, self.metric)

    def is_met(self, found: Interval) -> bool:
        """Return whether what was found is good enough."""
        return found.low >= self.bound if self.is_least else found.high <= self.bound

    def wording(self) -> str:
        """Return the target in words."""
        side = "at least" if self.is_least else "at most"
        if self.peer is None:
            return f"{side} {self.bound:g}"
        times = "" if self.bound == 1 else f"{self.bound:g} times "
        return f"{side} {times}{self.peer}'s"


@dataclass(frozen=True)
class Verdict:
    """A target, and what a run says about it; `outcome` is met, missed or not measured."""

    target: Target
    found: Interval | None

    @property
    def outcome(self) -> str:
        """The verdict in a word or two."""
        if self.found is None:
            return "not measured"
        return "met" if self.target.is_met(self.found) else "missed"

    @property
    def figure(self) -> str:
        """The interval, its decisive end first."""
        if self.found is None:
            return "-"
        decisive = self.found.low if self.target.is_least else self.found.high
        return f"{decisive:.2f} (median {self.found.median:.2f})"


def _least(workload: str, bound: float, peer: str) -> Target:
    return Target(workload, "per_second", bound, is_least=True, peer=peer)


def _most(workload: str, metric: str, bound: float, peer: str | None = None) -> Target:
    return Target(workload, metric, bound, is_least=False, peer=peer)


TARGETS = (
    _least("rpc-100", 12, "nameko"),
    _least("rpc-100", 15, "faststream"),
    _least("rpc-100", 2.5, "py_amqp"),
    _least("rpc-100", 0.3, "librabbitmq"),
    _most("rpc-100", "p99_per_p50", 3),
    _least("rpc-100-persistent", 8, "nameko"),
    _most("rpc-1", "p50_ms", 0.4, "nameko"),
    _most("rpc-1", "p50_ms", 1.3, "py_amqp"),
    *(_least(name, 1, peer) for name in ("rpc-1-1mb", "rpc-10-1mb") for peer in PYTHON_PEERS),
    *(
        _least(name, bound, peer)
        for name in ("events-1", "events-100")
        for peer, bound in (("nameko", 4), ("faststream", 2), ("dramatiq", 2))
    ),
    _most("start-up", "idle_mb", 0.85, "nameko"),
    _most("start-up", "first_reply_s", 0.85, "nameko"),
    _most("pending", "pending_ratio", 1.1),
    _most("services", "services_ratio", 1.15),
    _most("services", "connections", 2),
    _most("memory", "service_growth_mb", 3),
    _most("memory", "client_growth_mb", 3),
    _least("http-hello", 4.5, "nameko"),
    _least("http-hello", 2, "fastapi"),
    _least("http-hello", 0.7, "starlette"),
    _least("http-post", 5, "nameko"),
    _least("http-post", 1.5, "starlette"),
    Target("http-wait", "ideal_share", 0.85, is_least=True),
    _most("http-idle", "kb_per_connection", 4),
)


def targeted() -> set[tuple[str, str]]:
    """Return the workloads and peers that targets are about: the peer's, and ours beside it."""
    theirs = {(target.workload, target.peer) for target in TARGETS if target.peer is not None}
    return theirs | {(target.workload, OURS) for target in TARGETS}


def verdicts(tables: Tables) -> list[Verdict]:
    """Return what a run says about each target."""
    return [Verdict(target, target.found(tables)) for target in TARGETS]
