"""The ledger on disk: each process appends to a file of its own, a JSON object a line.

A record is written when it is made, so that a process that is killed leaves all it knew. `at` is
the monotonic clock, which is the same for all processes of a host.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

SUFFIX = ".jsonl"
# What a process of the run finds in its environment.
FOLDER = "RANDOM_RUN_FOLDER"
PROCESS = "RANDOM_RUN_PROCESS"
SEED = "RANDOM_RUN_SEED"


class Records:
    """Appends what one process notes."""

    def __init__(self, folder: Path, process: str) -> None:
        path = folder / f"{process}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **facts: Any) -> float:
        """Write a record; return its time."""
        at = monotonic()
        line = json.dumps({"what": what, "at": at, **facts})
        os.write(self._file, line.encode() + b"\n")
        return at


class Reader:
    """Reads what all processes have noted, each record once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def new(self) -> list[dict[str, Any]]:
        """Return the records that were not returned yet; each says its `process`."""
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        return [record for path in paths for record in self._of(path)]

    def _of(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    return
                self._offsets[path] = self._offsets.get(path, 0) + len(line)
                yield {"process": path.name.removesuffix(SUFFIX), **json.loads(line)}
