"""One process of the run: `rpcnode run` with a service, behind a proxy of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.proxy import Proxy
from tests.faults.random_run.records import FOLDER, PROCESS, SEED, Records
from tests.rabbitmq_server import bound_to_this_process

PROJECT = Path(__file__).parents[3]
SERVICES = "tests.faults.random_run.services"
HEARTBEAT = 2  # seconds
DEFINES = (f"HEARTBEAT={HEARTBEAT}", "SHUTDOWN_TIMEOUT=5")
STOPPING = 30.0  # seconds that a process may take for it, with all that may be broken meanwhile
STARTING = 60.0
ANSWER_TIMEOUT = 20.0


class RunFailed(Exception):
    """Raised when something did not happen that had to."""


def wait_until(is_true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what `is_true` returns once it is true; RunFailed when that takes too long."""
    end = time.monotonic() + seconds
    while not (value := is_true()):
        if time.monotonic() > end:
            raise RunFailed(f"waited {seconds:g} s in vain until {what}")
        time.sleep(0.05)
    return value


@dataclass(frozen=True)
class Settings:
    """What the processes of a run have in common; `defines` are KEY=VALUE of the configuration."""

    folder: Path
    seed: str
    defines: tuple[str, ...] = ()


class Actor:
    """A process that can be stopped, killed, and started again."""

    def __init__(self, name: str, service: str, uri: str, settings: Settings) -> None:
        self.name = name
        self.service = service
        self.proxy = Proxy(uri)
        self.log = settings.folder / f"{name}.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; see `wait_until_up`."""
        self._port_file.unlink(missing_ok=True)
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        settings = self._settings
        defines = [*DEFINES, *settings.defines]
        options = [part for define in defines for part in ("--define", define)]
        service = f"{SERVICES}:{self.service}"
        command = ["-m", "rpcnode", "run", "--broker", self.proxy.uri, *options, service]
        own = {FOLDER: str(settings.folder), PROCESS: self.name, SEED: settings.seed}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*bound_to_this_process(), sys.executable, *command],
                env={**os.environ, **own, "PYTHONPATH": str(PROJECT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def author(self) -> str:
        """The name under which the present process writes its records."""
        assert self._process is not None
        return f"{self.name}.{self._process.pid}"

    def wait_until_up(self) -> None:
        """Wait until the service is up; RunFailed when it is not in time, or ends."""

        def is_up() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise RunFailed(f"{self.name} ended at its start: see {self.log}")
            with self.log.open("rb") as log:
                log.seek(self._seen)
                return b"services are up" in log.read()

        wait_until(is_up, STARTING, f"{self.name} is up")

    def ask(self, do: str, **facts: Any) -> Any:
        """Give an order to the process's desk; return the answer."""
        port = wait_until(self._port, ANSWER_TIMEOUT, f"{self.name} has a desk")
        with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT) as connection:
            connection.sendall(json.dumps({"do": do, **facts}).encode() + b"\n")
            with connection.makefile() as lines:
                return json.loads(lines.readline())

    def terminate(self, records: Records) -> None:
        """End the process in good order; RunFailed when it does not end so, or not in time."""
        process, author = self._process, self.author
        assert process is not None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.kill(records)
            raise RunFailed(f"{author} did not stop within {STOPPING:g} s") from None
        records.note("gone", author=author, how=f"exit {status}")
        if status != 0:
            raise RunFailed(f"{author} ended with status {status}, not 0")

    def kill(self, records: Records) -> None:
        """End the process at once."""
        process = self._process
        assert process is not None
        process.kill()
        process.wait()
        records.note("gone", author=self.author, how="killed")

    def close(self) -> None:
        """End everything, however it is."""
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.kill()
                self._process.wait()
        self.proxy.close()

    @property
    def _port_file(self) -> Path:
        return self._settings.folder / f"{self.name}.port"

    def _port(self) -> int:
        try:
            return int(self._port_file.read_text())
        except FileNotFoundError:
            return 0
