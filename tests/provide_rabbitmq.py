"""Finds a RabbitMQ for the tests, then runs a command: `python -m tests.provide_rabbitmq pytest`.

Takes the first of: the server that `RPCNODE_TEST_AMQP_URI` names; an installed server, which the
tests' own fixture starts; Docker; and as root or under `CI=true` Debian's package. Where none of
them is possible it says what to do and ends with status 2: tests are never left out unseen.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.external_server import API_URI_VARIABLE, URI_VARIABLE
from tests.rabbitmq_server import AMQP_HEADER, METHOD_FRAME, answers, find_scripts

IMAGE = "rabbitmq:3-management"
AMQP_PORT, API_PORT = 5672, 15672
DOCKER_TIMEOUT = 90
POLICY_FILE = Path("/usr/sbin/policy-rc.d")
NO_WAY = f"""\
the tests need RabbitMQ and there is no way to one from here. Do one of these:
  - install it: apt-get install rabbitmq-server (it need not run; the tests start one of their own)
  - start Docker, so that the tests can run the image {IMAGE}
  - name a server that runs, and its management API:
      {URI_VARIABLE}=amqp://guest:guest@localhost:5672/
      {API_URI_VARIABLE}=http://guest:guest@localhost:15672
  - let the tests install it: as root, or with CI=true where sudo asks for no password"""

# Debian starts a service as soon as its package is installed, unless this file forbids it.
INSTALL_SCRIPT = """\
set -e
restore() { rm -f "$1"; if [ -e "$1.saved" ]; then mv "$1.saved" "$1"; fi; }
if [ -e "$1" ]; then mv "$1" "$1.saved"; fi
trap 'restore "$1"' EXIT
printf '#!/bin/sh\\nexit 101\\n' > "$1"
chmod 755 "$1"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y --no-install-recommends install rabbitmq-server openssl
"""

Variables = Mapping[str, str]


class NotProvided(Exception):
    """Raised when a way that looked possible did not lead to a server."""


@dataclass(frozen=True)
class Machine:
    """What this machine has and may do."""

    environment: Mapping[str, str]
    has_server: bool
    has_docker: bool
    has_apt: bool
    is_root: bool

    @classmethod
    def look(cls) -> "Machine":
        """Return what the machine on which we run has and may do."""
        has_server = find_scripts() is not None
        return cls(
            environment=os.environ,
            has_server=has_server,
            has_docker=not has_server and _docker_answers(),
            has_apt=shutil.which("apt-get") is not None,
            is_root=os.geteuid() == 0,
        )


@dataclass(frozen=True)
class Way:
    """A way to a RabbitMQ: `provide()` gives variables for the tests' environment."""

    title: str
    provide: Callable[[], AbstractContextManager[Variables]]


def choose(machine: Machine) -> Way | None:
    """Return the first possible way to a RabbitMQ, or None."""
    if machine.environment.get(URI_VARIABLE):
        return Way(f"the server that {URI_VARIABLE} names", as_it_is)
    if machine.has_server:
        return Way("the installed server, started by the tests", as_it_is)
    if machine.has_docker:
        return Way(f"Docker, {IMAGE}", in_docker)
    if machine.has_apt and (machine.is_root or machine.environment.get("CI") == "true"):
        return Way("Debian's package, started by the tests", lambda: as_package(machine.is_root))
    return None


def as_it_is() -> AbstractContextManager[Variables]:
    """Provide what is there already."""
    return nullcontext({})


@contextmanager
def in_docker(docker: str = "docker") -> Iterator[Variables]:
    """Run RabbitMQ in a container, on free ports of the loopback interface, as long as needed."""
    published = [f"--publish=127.0.0.1::{port}" for port in (AMQP_PORT, API_PORT)]
    container = _output(docker, "run", "--detach", "--rm", *published, IMAGE)
    try:
        amqp, api = (_published_port(docker, container, port) for port in (AMQP_PORT, API_PORT))
        _wait_for_server(amqp, api)
        yield {
            URI_VARIABLE: f"amqp://guest:guest@127.0.0.1:{amqp}/",
            API_URI_VARIABLE: f"http://guest:guest@127.0.0.1:{api}",
        }
    finally:
        _output(docker, "rm", "--force", container)


@contextmanager
def as_package(is_root: bool, policy_file: Path = POLICY_FILE) -> Iterator[Variables]:
    """Install Debian's package without starting its service; prints the command first."""
    command = ["sh", "-c", INSTALL_SCRIPT, "install-rabbitmq", str(policy_file)]
    if not is_root:
        command = ["sudo", "-n", *command]
    who = "as root" if is_root else "with sudo"
    print(f"to be run {who}, with {policy_file} as $1:\n{INSTALL_SCRIPT}", flush=True)
    if subprocess.run(command).returncode != 0:
        raise NotProvided("Debian's package rabbitmq-server could not be installed")
    if find_scripts() is None:
        raise NotProvided("Debian's package rabbitmq-server left no server where we look for it")
    yield {}


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _published_port(docker: str, container: str, port: int) -> int:
    addresses = _output(docker, "port", container, f"{port}/tcp").splitlines()
    return int(addresses[0].rpartition(":")[2])


def _wait_for_server(amqp_port: int, api_port: int) -> None:
    deadline = time.monotonic() + DOCKER_TIMEOUT
    get = b"GET / HTTP/1.0\r\n\r\n"
    while not (answers(amqp_port, AMQP_HEADER, METHOD_FRAME) and answers(api_port, get, b"H")):
        if time.monotonic() > deadline:
            raise NotProvided(f"RabbitMQ in Docker not ready after {DOCKER_TIMEOUT} seconds")
        time.sleep(0.2)


def _output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise NotProvided(f"{' '.join(command)}: ended with status {done.returncode}")
    return done.stdout.strip()


def main(command: list[str]) -> int:
    """Run `command` with a RabbitMQ provided; return its status, or 2 where there is none."""
    way = choose(Machine.look())
    if way is None:
        print(NO_WAY, file=sys.stderr)
        return 2
    print(f"RabbitMQ for the tests: {way.title}", flush=True)
    try:
        with way.provide() as variables:
            return subprocess.run(command, env={**os.environ, **variables}).returncode
    except NotProvided as exc:
        print(f"{exc}\n\n{NO_WAY}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
