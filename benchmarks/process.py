"""The processes of a measurement: started, listened to, and their CPU time read."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from benchmarks.peer import ROOT, Peer

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class PeerFailed(Exception):
    """Raised when a program of a peer does not do, or say, what it should."""


class PeerProcess:
    """A program of a peer that runs; what it writes to its standard error is for people."""

    def __init__(self, label: str, process: "subprocess.Popen[str]") -> None:
        self.label = label
        self.pid = process.pid
        self._process = process

    def expect(self, event: str, timeout: float) -> dict[str, Any]:
        """Return the facts of the next line, which must be about `event`; raise PeerFailed."""
        assert self._process.stdout is not None
        # A pipe has no timeout, but it ends with its process.
        alarm = threading.Timer(timeout, self._process.kill)
        alarm.start()
        line = self._process.stdout.readline()
        alarm.cancel()
        facts = _facts(line)
        if facts["event"] != event:
            raise PeerFailed(f"{self.label} said {facts['event']!r} instead of {event!r}")
        return facts


def _facts(line: str) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": line.strip() or "nothing"}
    return facts


@contextmanager
def running(peer: Peer, program: str, settings: dict[str, Any]) -> Iterator[PeerProcess]:
    """Run a program of a peer as long as the block."""
    with TemporaryFile("w+", encoding="utf-8") as stdin:
        # Not an argument, which everyone can see: the broker's password is in it. And not a
        # pipe, which breaks when the program has failed already.
        stdin.write(json.dumps(settings) + "\n")
        stdin.seek(0)
        process = subprocess.Popen(
            peer.command(program),
            cwd=ROOT,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},  # eventlet's notice of its retirement
            stdin=stdin,
            stdout=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            yield PeerProcess(f"{peer.name}'s {program}", process)
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has taken: user and system, all its threads.

    Fields 14 and 15 of /proc/PID/stat as proc(5) counts them; the name before them is in
    parentheses, and may contain anything.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def machine_cpu_seconds() -> float:
    """Return the CPU time that all processes of the machine have taken, since it was started.

    The first line of /proc/stat as proc(5) explains it: user, nice, system, idle, iowait, irq,
    softirq and steal; the guests that follow are part of the first two.
    """
    ticks = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_SECOND
