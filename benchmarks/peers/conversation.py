"""What a peer's programs say to the runner: JSON, one line each; needs the standard library alone.

The runner writes one line, the settings. A service answers `ready` once it can be called, and
runs until it is terminated. A client answers `begin` and `end` around what is measured, then
`latencies`. Green threads are no matter here: `time.sleep` gives way where it is patched.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks.summary import percentile


def read_settings() -> dict[str, Any]:
    """Return what the runner wants of this program."""
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    return settings


def say(event: str, **facts: Any) -> None:
    """Tell the runner that something has happened."""
    print(json.dumps({"event": event, **facts}), flush=True)


def serve(*packages: str) -> None:
    """Say that the service can be called, and what it runs on; return when the runner is gone."""
    runner = os.getppid()
    say("ready", versions={package: version(package) for package in packages})
    while os.getppid() == runner:
        time.sleep(1)  # the service runs until the harness ends it


class Load:
    """Calls as fast as replies come, in as many green threads as run `call_repeatedly`."""

    def __init__(self, seconds: float, warm_up: float) -> None:
        self.seconds = seconds
        self.warm_up = warm_up
        self.failure: str | None = None
        self._latencies: list[float] = []
        self._is_over = False

    def call_repeatedly(self, call: Callable[[], object]) -> None:
        """Call until the time is over; the first error ends everything."""
        clock = time.perf_counter
        try:
            while not self._is_over:
                begin = clock()
                call()
                self._latencies.append(clock() - begin)
        except Exception as exc:  # whatever it is, the runner must hear of it
            self.failure = f"{type(exc).__name__}: {exc}"
            self._is_over = True

    def measure(self) -> None:
        """Let the calls warm up, then count them; tell the runner."""
        time.sleep(self.warm_up)  # this time is the warm-up: the callers work meanwhile
        self._latencies.clear()
        say("begin")
        begin = time.perf_counter()
        time.sleep(self.seconds)  # this time is what is measured
        seconds = time.perf_counter() - begin
        latencies = self._latencies.copy()
        # The runner reads the processes' CPU time now; the sorting must not be part of it.
        say("end", calls=len(latencies), seconds=seconds, failure=self.failure)
        self._is_over = True
        latencies.sort()
        say("latencies", p50=percentile(latencies, 50), p99=percentile(latencies, 99))
