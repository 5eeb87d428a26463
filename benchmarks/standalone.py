"""Measures clients of programs that are no service: `python -m benchmarks.standalone`.

Threads call one service, which is rpcnode's in each case: through one `ClusterRpcProxy` of
rpcnode, and through as many of Nameko's as there are threads. Both in turns, so that both have
the same share of a busy machine. BENCH_CALLS, BENCH_THREADS and BENCH_ROUNDS are the sizes.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.broker import broker
from benchmarks.kinds.rpc import SERVICE_WORKERS, service_names
from benchmarks.measuring import GRACE
from benchmarks.peer import ROOT, NotAvailable, Peer
from benchmarks.process import PeerFailed, running
from tests.rabbitmq_server import ServerFailed

TARGET = 3.0  # times as many calls as through Nameko's clients
CLIENT_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Nameko's clients make a quarter of the calls: they take longer."""

    calls: int = 10_000
    threads: int = 16
    rounds: int = 3
    payload_size: int = 100

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Sizes":
        """Return what the environment asks for."""
        given = {
            name: int(environment[f"BENCH_{name.upper()}"])
            for name in ("calls", "threads", "rounds")
            if environment.get(f"BENCH_{name.upper()}")
        }
        return cls(**given)


def measure(uri: str, sizes: Sizes) -> dict[str, list[dict[str, Any]]]:
    """Return what each round took, by the client's framework; raise NotAvailable, PeerFailed."""
    ours, nameko = Peer.load("rpcnode"), Peer.load("nameko")
    nameko.prepare()
    settings = {"job": "rpc", "uri": uri, "workers": SERVICE_WORKERS, "services": service_names(1)}
    figures: dict[str, list[dict[str, Any]]] = {ours.name: [], nameko.name: []}
    with running(ours, "service", settings) as service:
        service.expect("ready", GRACE)
        for _ in range(sizes.rounds):
            figures[ours.name].append(call(ours, uri, sizes, sizes.calls))
            figures[nameko.name].append(call(nameko, uri, sizes, sizes.calls // 4))
    return figures


def call(peer: Peer, uri: str, sizes: Sizes, calls: int) -> dict[str, Any]:
    """Have the client of one framework call; return its figures."""
    settings = {
        "uri": uri,
        "threads": sizes.threads,
        "payload_size": sizes.payload_size,
        "calls": calls - calls % sizes.threads,
    }
    done = subprocess.run(
        [peer.python, "-m", "benchmarks.peers.standalone_client", peer.name],
        cwd=ROOT,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},  # eventlet's notice of retirement
        input=json.dumps(settings) + "\n",  # not an argument: the broker's password is in it
        capture_output=True,
        text=True,
        timeout=CLIENT_TIMEOUT,
    )
    if done.returncode != 0:
        raise PeerFailed(f"the client of {peer.name}: {done.stderr.strip()[-500:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def rates(rounds: list[dict[str, Any]]) -> list[float]:
    """Return the calls in a second of each round."""
    return [each["calls"] / each["seconds"] for each in rounds]


def report(figures: dict[str, list[dict[str, Any]]]) -> str:
    """Return the figures in words."""
    lines = [
        f"{name:8} {statistics.median(rates(rounds)):8.0f} calls/s, {cpu_us(rounds):6.0f} µs of "
        f"CPU each (rounds: {', '.join(f'{each:.0f}' for each in rates(rounds))})"
        for name, rounds in figures.items()
    ]
    return "\n".join([*lines, f"rpcnode / nameko: {ratio(figures):.1f} (target {TARGET:g})"])


def cpu_us(rounds: list[dict[str, Any]]) -> float:
    """Return what a call takes of the client's CPU."""
    return statistics.median(each["cpu_seconds"] / each["calls"] for each in rounds) * 1e6


def ratio(figures: dict[str, list[dict[str, Any]]]) -> float:
    """Return how many times as many calls go through our client, by the rounds in the middle."""
    ours, nameko = (statistics.median(rates(figures[name])) for name in ("rpcnode", "nameko"))
    return ours / nameko


def main() -> int:
    """Measure and report; return 0, or 1 when the target is missed, 2 when nothing was measured."""
    try:
        with broker() as server, server.virtual_host() as uri:
            figures = measure(uri, Sizes.from_environment())
    except (ServerFailed, NotAvailable, PeerFailed) as exc:
        print(exc, file=sys.stderr)
        return 2
    print(report(figures))
    return 0 if ratio(figures) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
