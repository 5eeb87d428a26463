"""Processes that tests start, look at and end."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from rpcnode.concurrency import sleep

DEADLINE = 20.0  # seconds
WHERE_IS_THE_CURSOR = b"\x1b[6n"


def eventually(condition: Callable[[], object], what: object = "the condition") -> None:
    """Wait until `condition` holds; fail when it does not for too long."""
    deadline = monotonic() + DEADLINE
    while not condition():
        if monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE} s in vain for {what}")
        sleep(0.02)


class Process:
    """A command that runs, and what it has written so far."""

    def __init__(self, process: subprocess.Popen, folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def output(self) -> str:
        """The standard output."""
        return (self.folder / "stdout").read_text()

    @property
    def errors(self) -> str:
        """The standard error."""
        return (self.folder / "stderr").read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the standard error has `text`."""
        eventually(lambda: text in self.errors or self.process.poll() is not None, text)
        assert text in self.errors

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """End it, however it is."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE)


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, process: subprocess.Popen, master: int) -> None:
        self.process = process
        self._master = master
        self.seen = ""
        os.set_blocking(master, False)

    def type(self, text: str) -> None:
        """Type `text`."""
        os.write(self._master, text.encode())

    def expect(self, text: str) -> str:
        """Wait until `text` appears; return and forget all up to it."""
        eventually(lambda: self.read() and text in self.seen, _Missing(self, text))
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self) -> int:
        """Read on until the end; return the exit code."""
        eventually(lambda: self.read() and self.process.poll() is not None, "the end")
        return self.process.returncode

    def close(self) -> None:
        """End it, however it is."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._master)

    def read(self) -> bool:
        """Take what is there, and answer questions; always true."""
        # A patched os.read waits for more, and so would miss the end of the process.
        buffer = bytearray(65536)
        with suppress(BlockingIOError, OSError):  # nothing there, or nobody there any more
            count = os.readv(self._master, [buffer])
            self.seen += buffer[:count].decode(errors="replace")
            if WHERE_IS_THE_CURSOR in buffer[:count]:
                os.write(self._master, b"\x1b[1;1R")
        return True


class _Missing:
    """Says what a terminal does not show, and what it does."""

    def __init__(self, terminal: Terminal, text: str) -> None:
        self._terminal = terminal
        self._text = text

    def __str__(self) -> str:
        return f"{self._text!r} after {self._terminal.seen!r}"
