"""What a saturated lane costs the others: `python -m benchmarks.lanes`.

A service has a slow method with workers of its own, and a fast one. One caller calls the fast one
again and again. In every other round another program offers the slow one three times the calls
that it can run, so that most are answered `TooBusy`. Printed is how long the fast calls took.

Service, caller and load are three processes. The figures are the medians of all rounds.
"""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

import argparse
import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

from benchmarks.peers.conversation import stay
from benchmarks.summary import percentile
from rpcnode.concurrency import spawn
from rpcnode.exceptions import TooBusy
from rpcnode.rpc import rpc
from tests.hosting import hosted
from tests.rabbitmq_server import RabbitServer

SLOW_SECONDS = 0.05  # that one slow call takes
SLOW_WORKERS = 2
OFFERED = 3 * SLOW_WORKERS / SLOW_SECONDS  # slow calls a second
PAUSE = 0.002  # seconds between two fast calls: they are to be timed, not to fill the machine
LIMIT = 1.5  # the 99th percentile of fast calls may be so many times what it is alone


class Lanes:
    """Has a lane for its slow method."""

    name = "lanes"

    @rpc
    def fast(self) -> None:
        """Return at once."""

    @rpc(max_workers=SLOW_WORKERS)
    def slow(self) -> None:
        """Take a while."""
        time.sleep(SLOW_SECONDS)  # stands for slow work


def serve(uri: str) -> None:
    """Host the service until this program is ended."""
    with hosted({"AMQP_URI": uri}, Lanes):
        print("ready", flush=True)
        stay()


def load(uri: str, seconds: float) -> None:
    """Offer slow calls for so long; print what they were answered."""
    answers = {"done": 0, "too busy": 0}

    def call(lanes: Any) -> None:
        try:
            lanes.slow()
            answers["done"] += 1
        except TooBusy:
            answers["too busy"] += 1

    with hosted({"AMQP_URI": uri}) as services:
        print("ready", flush=True)
        begin, calls = time.monotonic(), []
        while (passed := time.monotonic() - begin) < seconds:
            due = int(passed * OFFERED) - len(calls)
            calls += [spawn(call, services.rpc.lanes) for _ in range(due)]
            time.sleep(1 / OFFERED)  # until the next call is due
        for each in calls:
            each.join(None)
    print(json.dumps(answers), flush=True)


def timed(lanes: Any, seconds: float) -> list[float]:
    """Call the fast method for so long; return what each call took, in milliseconds."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        lanes.fast()
        took.append((time.perf_counter() - begin) * 1000)
        time.sleep(PAUSE)  # one call after the other, at the pace of one user
    return took


def start(uri: str, role: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start another program of this module; return when it is ready."""
    command = [sys.executable, "-m", "benchmarks.lanes", "--uri", uri, "--role", role, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", f"{role} did not start"
    return process


def measure(uri: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the percentiles of fast calls, alone and beside slow ones, and these' answers."""
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    answers = {"done": 0, "too busy": 0}
    with hosted({"AMQP_URI": uri}) as services:
        timed(services.rpc.lanes, seconds / 2)  # the first calls open what is opened once
        for _ in range(rounds):
            alone.append(timed(services.rpc.lanes, seconds))
            other = start(uri, "load", "--seconds", str(seconds + 1))
            beside.append(timed(services.rpc.lanes, seconds))
            said, _nothing = other.communicate(timeout=60)
            for name, count in json.loads(said).items():
                answers[name] += count
    return {"alone": summary(alone), "beside": summary(beside), "slow": answers}


def summary(rounds: list[list[float]]) -> dict[str, float]:
    """Return the medians of what the rounds say: what else the machine did was in some of them."""
    each = [sorted(took) for took in rounds]
    return {
        "calls": sum(map(len, each)),
        "p50": median(percentile(took, 50) or 0 for took in each),
        "p99": median(percentile(took, 99) or 0 for took in each),
        "longest": median(took[-1] for took in each),
    }


def report(found: dict[str, Any]) -> str:
    """Return the table."""
    lines = ["| fast calls | p50 ms | p99 ms | longest ms | calls |", "| --- " * 5 + "|"]
    for name, label in {"alone": "alone", "beside": "beside a saturated lane"}.items():
        of = found[name]
        figures = f"{of['p50']:.2f} | {of['p99']:.2f} | {of['longest']:.1f} | {of['calls']}"
        lines.append(f"| {label} | {figures} |")
    slow = found["slow"]
    lines += ["", f"slow calls: {slow['done']} done, {slow['too busy']} answered TooBusy"]
    times = found["beside"]["p99"] / found["alone"]["p99"]
    lines.append(f"p99: {times:.2f} times that alone (at most {LIMIT} is wanted)")
    return "\n".join(lines)


def main() -> None:
    """Measure and report, or play one of the other roles."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8, help="of each kind")
    parser.add_argument("--seconds", type=float, default=5.0, help="that each round takes")
    parser.add_argument("--role", choices=["serve", "load"], help=argparse.SUPPRESS)
    parser.add_argument("--uri", help="a broker to use, instead of one that is started for it")
    options = parser.parse_args()
    if options.role == "serve":
        serve(options.uri)
    elif options.role == "load":
        load(options.uri, options.seconds)
    elif options.uri:
        run(options.uri, options.rounds, options.seconds)
    else:
        server = RabbitServer()
        server.start()
        try:
            run(server.uri, options.rounds, options.seconds)
        finally:
            server.stop()


def run(uri: str, rounds: int, seconds: float) -> None:
    """Measure and report, with a service of our own."""
    service = start(uri, "serve")
    try:
        print(report(measure(uri, rounds, seconds)))
    finally:
        service.terminate()
        service.wait()


if __name__ == "__main__":
    main()
