"""Programs that nothing has patched: a test runs them in a process of their own.

A program is a function of a test module; its arguments and its result are JSON.
"""

import faulthandler
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.rabbitmq_server import bound_to_this_process

TIMEOUT = 40.0  # seconds


class Program:
    """A program that runs."""

    def __init__(
        self, function: Callable[..., Any], *arguments: Any, timeout: float = TIMEOUT
    ) -> None:
        self._timeout = timeout
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name, "errors")
        self._result = Path(self._folder.name, "result")
        command = [sys.executable, "-m", __name__, function.__module__, function.__name__]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    *bound_to_this_process(),
                    *command,
                    str(self._result),
                    json.dumps(arguments),
                    str(timeout),
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )

    def wait(self) -> Any:
        """Return what it returned; fail with what it wrote when it failed."""
        try:
            status = self.process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        written = self._errors.read_text(errors="replace")
        result = self._result.read_text() if self._result.exists() else None
        self._folder.cleanup()
        assert status == 0, f"the program ended with status {status}:\n{written[-4000:]}"
        return None if result is None else json.loads(result)


def run_native(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a program to its end; return what it returned."""
    return Program(function, *arguments).wait()


def main(module: str, name: str, result: str, arguments: str, timeout: str) -> None:
    """Run one program; this is the program's process."""
    # Before the test gives up, so that it can show where everybody is.
    faulthandler.dump_traceback_later(0.8 * float(timeout), exit=True)
    returned = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    Path(result).write_text(json.dumps(returned))
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
