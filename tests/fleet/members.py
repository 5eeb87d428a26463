"""The members of a fleet: processes of Nameko's and of rpcnode's, with what the tests ask of them.

`old` are Nameko's, `new` rpcnode's. Both run the sources in `in_nameko/`, the new ones a copy in
which the word is replaced; both have the default configuration.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kombu
from amqp.exceptions import NotFound

from benchmarks.peer import ROOT, Peer
from tests.cli.processes import Process, eventually
from tests.rabbitmq_server import bound_to_this_process

OLD, NEW = SIDES = ("old", "new")
SOURCES = Path(__file__).parent / "in_nameko"


class Fleet:
    """Starts members of a fleet at a broker; leaves none behind."""

    def __init__(self, uri: str, folder: Path, nameko: Peer) -> None:
        self.uri = uri
        self.folder = folder
        self.ledger = folder / "ledger"
        self._pythons = {OLD: nameko.python, NEW: sys.executable}
        self._command = {
            OLD: [str(Path(nameko.python).with_name("nameko"))],
            NEW: ["-m", "rpcnode"],
        }
        self._members: list[Process] = []
        self._notes: list[dict[str, Any]] = []
        self._read_to = 0
        _write_sources(folder)

    def host(self, side: str, module: str, *queues: str) -> Process:
        """Host the services of a module; return when each of `queues` has a consumer more."""
        before = {queue: self.consumers(queue) for queue in queues}
        member = self.run(side, *self._command[side], "run", "--broker", self.uri, module)
        for queue, count in before.items():
            eventually(
                lambda queue=queue, count=count: (
                    self.consumers(queue) > count or member.process.poll() is not None
                ),
                f"a consumer of {queue} in {member.folder}",
            )
        assert member.process.poll() is None, member.errors
        return member

    def run(self, side: str, *arguments: str) -> Process:
        """Run Python at one side, in the folder with that side's sources."""
        place = self.folder / f"{side}-{len(self._members)}"
        place.mkdir()
        with (place / "stdout").open("w") as stdout, (place / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [*bound_to_this_process(), self._pythons[side], *arguments],
                cwd=self.folder / side,
                env=self._environment(side),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self._members.append(Process(process, place))
        return self._members[-1]

    def _environment(self, side: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT) if side == NEW else "",
            "PYTHONWARNINGS": "ignore",  # eventlet's notice of retirement
            "AMQP_URI": self.uri,
            "LEDGER": str(self.ledger),
            "SIDE": side,
        }

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has; none when there is no such queue."""
        with kombu.Connection(self.uri) as connection:
            try:
                return int(connection.channel().queue_declare(queue, passive=True).consumer_count)
            except NotFound:
                return 0

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return what the members have noted of a kind."""
        self._read_on()
        return [note for note in self._notes if note["kind"] == kind]

    def forget(self) -> None:
        """Forget what was noted so far."""
        self._read_on()
        self._notes.clear()

    def _read_on(self) -> None:
        if not self.ledger.exists():
            return
        with self.ledger.open(encoding="utf-8") as file:
            file.seek(self._read_to)
            # What is only half there is read the next time.
            while (line := file.readline()).endswith("\n"):
                self._notes.append(json.loads(line))
                self._read_to = file.tell()

    def close(self) -> None:
        """End all members, however they are."""
        for member in self._members:
            member.kill()


def _write_sources(folder: Path) -> None:
    for side in SIDES:
        (folder / side).mkdir()
    for source in SOURCES.glob("*.py"):
        text = source.read_text(encoding="utf-8")
        (folder / OLD / source.name).write_text(text, encoding="utf-8")
        replaced = text.replace("nameko", "rpcnode")
        (folder / NEW / source.name).write_text(replaced, encoding="utf-8")
