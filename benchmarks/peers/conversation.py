"""What a peer's programs say to the runner: JSON, one line each; needs the standard library alone.

The runner writes one line, the settings. Its `job` says what the program is for; docs/benchmarks.md
tells what each one is given and says.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks.summary import percentile

MOMENT = 0.005  # seconds between two looks at what others do


def read_settings() -> dict[str, Any]:
    """Return what the runner wants of this program."""
    settings: dict[str, Any] = json.loads(sys.stdin.readline())
    return settings


def say(event: str, **facts: Any) -> None:
    """Tell the runner that something has happened."""
    print(json.dumps({"event": event, **facts}), flush=True)


def say_ready(*packages: str, **facts: Any) -> None:
    """Say that the service can be called, and what it runs on."""
    say("ready", versions={package: version(package) for package in packages}, **facts)


def serve(*packages: str, **facts: Any) -> None:
    """Say that the service can be called, and what it runs on; return when the runner is gone."""
    say_ready(*packages, **facts)
    stay()


def stay() -> None:
    """Run on until the harness ends this program; return when the harness itself is gone."""
    runner = os.getppid()
    wait_until(lambda: os.getppid() != runner, every=1)


def wait_until(is_true: Callable[[], object], every: float = MOMENT) -> None:
    """Return when `is_true` is; look every so many seconds."""
    while not is_true():
        time.sleep(every)  # an event of the standard library would not wake each peer's threads


def payload(size: int) -> dict[str, Any]:
    """Return the one argument of a call, which is also its result: `size` bytes of JSON."""
    order = {"order": 12345, "sku": "plum", "quantity": 3, "price": 1.25, "note": ""}
    return order | {"note": "x" * (size - len(json.dumps(order)))}


def say_latencies(latencies: list[float]) -> None:
    """Tell the runner the percentiles of what was measured, in seconds."""
    ordered = sorted(latencies)
    say("latencies", p50=percentile(ordered, 50), p99=percentile(ordered, 99))
