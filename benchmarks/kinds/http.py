"""HTTP: requests that `wrk` sends to one process, and connections that nobody uses."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.measuring import GRACE, Bench, Figures, Meter, Workload
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, PeerProcess, connections, resident_mb, running

SCRIPT = Path(__file__).parent / "wrk.lua"
ORDER = json.dumps({"order": 12345, "sku": "plum", "quantity": 3, "note": "x" * 100})
ENOUGH = 100  # workers, for 64 connections
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Http(Workload):
    """Requests for one path, as many at once as there are connections.

    `workers` is what a service has of them where the framework bounds their number.
    `ideal_per_second` is what a server could reach that takes no time itself.
    """

    path: str = "/hello"
    method: str = "GET"
    body: str = ""
    connections: int = 64
    workers: int = ENOUGH
    ideal_per_second: float = 0

    needs_broker: ClassVar = False
    columns: ClassVar = {
        "per_second": "requests/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "service_cpu_us": "service µs",
        "service_mb": "service MB",
    }

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return what the requests took, and the memory of the service under this load."""
        with _serving(bench, peer, self.workers) as (service, port):
            self._warm_up(port, bench.warm_up)
            meter = Meter(bench, service=service.pid)
            meter.start()
            said = self._wrk(port, bench.seconds)
            if said["failed"] or not said["requests"]:
                raise PeerFailed(f"{service.label}: {said['failed']} requests have failed")
            figures = meter.stop(said["requests"])
            figures["service_mb"] = resident_mb(service.pid)
        figures["per_second"] = said["requests"] / said["seconds"]
        figures |= {name: said[name] for name in ("p50_ms", "p99_ms")}
        if self.ideal_per_second:
            figures["ideal_share"] = figures["per_second"] / self.ideal_per_second
        return figures

    def _warm_up(self, port: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        with socket.create_connection(("127.0.0.1", port), GRACE) as client:
            while time.monotonic() < end:
                status = _ask(client, self.method, self.path, self.body)
                if status != b"200":
                    raise PeerFailed(f"{self.method} {self.path} was answered with {status!r}")

    def _wrk(self, port: int, seconds: float) -> dict[str, Any]:
        whole = max(1, round(seconds))  # wrk knows whole seconds only
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{whole}s", "-s", str(SCRIPT)]
        command += [f"http://127.0.0.1:{port}{self.path}", "--", self.method]
        command += [self.body] if self.body else []
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GRACE + whole)
        except FileNotFoundError as exc:
            raise PeerFailed("wrk is not there: apt-get install wrk") from exc
        except subprocess.TimeoutExpired as exc:
            raise PeerFailed("wrk does not end") from exc
        if done.returncode != 0:
            raise PeerFailed(f"wrk: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said


@dataclass(frozen=True)
class IdleConnections(Workload):
    """Connections that stay open after one request each, and what each holds of memory."""

    number: int = 5_000

    needs_broker: ClassVar = False
    columns: ClassVar = {"kb_per_connection": "kB each", "service_mb": "service MB"}

    def measure(self, bench: Bench, peer: Peer, uri: str) -> Figures:
        """Return by how much the resident memory grew, for each connection."""
        with _serving(bench, peer, ENOUGH) as (service, port), ExitStack() as opened:
            for _ in range(10):  # what is made once is there
                _open(port).close()
            before = resident_mb(service.pid)
            for _ in range(self.number):
                opened.enter_context(_open(port))
            after = resident_mb(service.pid)
            left = connections(os.getpid(), port)
            if left < self.number:
                raise PeerFailed(f"{service.label} has kept {left} connections of {self.number}")
        return {"kb_per_connection": (after - before) * 1000 / self.number, "service_mb": after}

    def expected_seconds(self, bench: Bench) -> float:
        """Return how long it takes, about."""
        return 2 + self.number / 1500


@contextmanager
def _serving(bench: Bench, peer: Peer, workers: int) -> Iterator[tuple[PeerProcess, int]]:
    port = _free_port()
    with running(peer, "web", {"port": port, "workers": workers}) as service:
        bench.versions[peer.name] = service.expect("ready", GRACE)["versions"]
        yield service, port


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _open(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), GRACE)
    _ask(client, "GET", "/hello")
    return client


def _ask(client: socket.socket, method: str, path: str, body: str = "") -> bytes:
    """Send a request; return the status of its answer, whose body is short."""
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    client.sendall(f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{kind}\r\n{body}".encode())
    data = b""
    while HEAD_END not in data:
        data += _more(client)
    head, _, rest = data.partition(HEAD_END)
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(rest) < length:
        rest += _more(client)
    return head.split(b" ", 2)[1]


def _more(client: socket.socket) -> bytes:
    data = client.recv(65_536)
    if not data:
        raise PeerFailed("the service has closed a connection")
    return data
