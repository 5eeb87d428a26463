"""What a run has found, as it is kept in a file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import Failure, Measurement


@dataclass
class Results:
    """All measurements and failures of a run, and what is known of the run itself.

    `missing` are the peers that could not be had, with the reason.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def failures_of(self, workload: str, peer: str) -> int:
        """Return how often a measurement has failed."""
        return sum((each.workload, each.peer) == (workload, peer) for each in self.failures)

    def write(self, path: Path) -> Path:
        """Write everything as JSON; return the path."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Return what was written to a file."""
        said = json.loads(path.read_text(encoding="utf-8"))
        said["measurements"] = [Measurement(**each) for each in said["measurements"]]
        said["failures"] = [Failure(**each) for each in said["failures"]]
        return cls(**said)
