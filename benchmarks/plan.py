"""Which measurements are made, in which order, and in how many rounds."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.measuring import Workload
from benchmarks.peer import Peer

FEW = 2  # rounds that show where somebody stands, without an interval worth the name

Cell = tuple[int, Workload, Peer]


@dataclass(frozen=True)
class Rounds:
    """How often what is measured: `number` times what a target is about, else a few times.

    `targeted` are the names of the workloads and peers that targets are about; None: all are.
    """

    number: int
    targeted: Collection[tuple[str, str]] | None = None

    def of(self, workload: Workload, peer: Peer) -> int:
        """Return in how many rounds the peer has the workload."""
        if self.targeted is None:
            return self.number
        has_target = (workload.name, peer.name) in self.targeted
        most = self.number if has_target else FEW
        return min(self.number, most, workload.most_rounds or most)


def schedule(
    rounds: Rounds, workloads: Sequence[Workload], peers: Sequence[Peer]
) -> Iterator[Cell]:
    """Yield what to measure: in each round everything once, every other round with peers reversed.

    What disturbs the machine for a while then hits all peers, and none is always the first.
    """
    for number in range(1, rounds.number + 1):
        for workload in workloads:
            for peer in peers if number % 2 else reversed(peers):
                is_due = number <= rounds.of(workload, peer)
                if is_due and workload.left_out(peer) is None:
                    yield number, workload, peer
