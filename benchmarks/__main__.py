"""Measures rpcnode beside its peers: `make bench`, or `python -m benchmarks`.

The environment says how long: BENCH_SECONDS (4) are counted in each measurement, after
BENCH_WARM_UP (1); BENCH_ROUNDS (5). RPCNODE_TEST_AMQP_URI names a broker to use instead of one
of our own; its CPU time is then unknown.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import Bench, Measurement, schedule
from benchmarks.peer import PEERS, NotAvailable, Peer
from benchmarks.process import PeerFailed
from benchmarks.report import Report
from benchmarks.workloads import WORKLOADS
from tests.external_server import ExternalServer
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer, ServerFailed, with_vhost

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure and report; return 0, or 1 when a call or a program failed, 2 without a broker."""
    seconds = float(os.environ.get("BENCH_SECONDS", "4"))
    warm_up = float(os.environ.get("BENCH_WARM_UP", "1"))
    facts: dict[str, Any] = {
        "seconds": seconds,
        "warm_up": warm_up,
        "rounds": int(os.environ.get("BENCH_ROUNDS", "5")),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {},
    }
    measurements: list[Measurement] = []
    status = 0
    try:
        with broker() as (server, pid):
            measure_all(server, Bench(pid, seconds, warm_up), facts, measurements)
    except ServerFailed as exc:
        print(exc, file=sys.stderr)
        return 2
    except PeerFailed as exc:
        print(f"\n{exc}", file=sys.stderr)
        status = 1
    report = Report(measurements)
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    report.write(path, facts)
    print(f"\n{report.table()}\n\n{report.verdict()}\n{report.disturbance()}\n{path}")
    return status


@contextmanager
def broker() -> Iterator[tuple[RabbitServer | ExternalServer, int | None]]:
    """Yield a broker, and its process's id where it is our own."""
    external = ExternalServer.from_environment()
    if external is not None:
        yield external, None
        return
    server = RabbitServer()
    server.start()
    try:
        yield server, server.pid
    finally:
        server.stop()


def measure_all(
    server: RabbitServer | ExternalServer,
    bench: Bench,
    facts: dict[str, Any],
    measurements: list[Measurement],
) -> None:
    """Measure everything; what is found is added as it comes, so that a failure leaves the rest."""
    api = ManagementApi(server.api_uri)
    for number, workload, peer in schedule(facts["rounds"], WORKLOADS, available(PEERS)):
        print(f"round {number}: {workload.name}: {peer.name}", end="", flush=True)
        with virtual_host(api) as vhost:
            uri = with_vhost(server.uri, vhost)
            found, facts["versions"][peer.name] = bench.measure(number, workload, peer, uri)
        measurements.append(found)
        print(f": {found.calls_per_second:,.0f} calls/s", flush=True)


def available(peers: tuple[Peer, ...]) -> list[Peer]:
    """Return the peers whose environments are there or can be made; say which are not."""
    found = []
    for peer in peers:
        try:
            peer.prepare()
        except NotAvailable as exc:
            print(exc, file=sys.stderr)
        else:
            found.append(peer)
    return found


@contextmanager
def virtual_host(api: ManagementApi) -> Iterator[str]:
    """Yield the name of a fresh virtual host: no measurement finds what another left behind."""
    name = f"bench-{secrets.token_hex(4)}"
    api.create_vhost(name)
    try:
        yield name
    finally:
        api.delete_vhost(name)


if __name__ == "__main__":
    sys.exit(main())
