"""The processes of a measurement: started, listened to, and what they take from the machine."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from benchmarks.peer import ROOT, Peer
from tests.rabbitmq_server import bound_to_this_process

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
ESTABLISHED = "01"  # as /proc/net/tcp spells it


class PeerFailed(Exception):
    """Raised when a program of a peer does not do, or say, what it should."""


class PeerProcess:
    """A program of a peer that runs; what it writes to its standard error is for people."""

    def __init__(self, label: str, process: "subprocess.Popen[str]", errors: IO[str]) -> None:
        self.label = label
        self.pid = process.pid
        self._process = process
        self._errors = errors

    def expect(self, event: str, timeout: float, *, passing: str = "") -> dict[str, Any]:
        """Return the facts of the next line, which must be about `event`; raise PeerFailed.

        A line about `passing` may come before it.
        """
        assert self._process.stdout is not None
        # A pipe has no timeout, but it ends with its processes.
        alarm = threading.Timer(timeout, _kill_group, [self.pid])
        alarm.start()
        facts = _facts(self._process.stdout.readline())
        if passing and facts["event"] == passing:
            facts = _facts(self._process.stdout.readline())
        alarm.cancel()
        if facts["event"] != event:
            said = f"{self.label} said {facts['event']!r} instead of {event!r}"
            raise PeerFailed(f"{said}{self._last_words()}")
        return facts

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return f": {lines[-1][-300:]}" if lines else ""


def _facts(line: str) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": line.strip() or "nothing"}
    return facts


@contextmanager
def running(peer: Peer, program: str, settings: dict[str, Any]) -> Iterator[PeerProcess]:
    """Run a program of a peer, and the processes it starts, as long as the block."""
    with TemporaryFile("w+", encoding="utf-8") as errors:
        with TemporaryFile("w+", encoding="utf-8") as stdin:
            # Not an argument, which everyone can see: the broker's password is in it. And not a
            # pipe, which breaks when the program has failed already.
            stdin.write(json.dumps(settings) + "\n")
            stdin.seek(0)
            process = subprocess.Popen(
                [*bound_to_this_process(), *peer.command(program)],
                cwd=ROOT,
                env=os.environ | {"PYTHONWARNINGS": "ignore"},  # eventlet's notice of retirement
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # its processes are then a group, which ends as one
            )
        with process:
            try:
                yield PeerProcess(f"{peer.name}'s {program}", process, errors)
            finally:
                _kill_group(process.pid)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have taken: user and system.

    Fields 14 to 17 of /proc/PID/stat as proc(5) counts them: those of the process with all its
    threads, and of its children that have ended. A process that is gone took nothing more.
    """
    ticks = 0
    for each in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, _stat(each)[11:15]))
    return ticks / TICKS_PER_SECOND


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its children, in MB (10^6 bytes)."""
    page = os.sysconf("SC_PAGE_SIZE")
    pages = 0
    for each in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * page / 1e6


def family(pid: int) -> list[int]:
    """Return the ids of a process and of all that it started, directly or not."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            children.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found = [pid]
    for each in found:  # it grows meanwhile
        found += children.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third: the name before may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def connections(pid: int, port: int) -> int:
    """Return how many TCP connections a process and its children have to a port of loopback."""
    ours = {inode for each in family(pid) for inode in _sockets(each)}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    remote = f":{port:04X}"
    return sum(row[2].endswith(remote) and row[3] == ESTABLISHED and row[9] in ours for row in rows)


def _sockets(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            target = str(link.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]


def machine_cpu_seconds() -> float:
    """Return the CPU time that all processes of the machine have taken, since it was started.

    The first line of /proc/stat as proc(5) explains it: user, nice, system, idle, iowait, irq,
    softirq and steal; the guests that follow are part of the first two.
    """
    ticks = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_SECOND
