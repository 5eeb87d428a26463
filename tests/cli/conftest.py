"""The real command in processes of its own."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.processes import DEADLINE, Process, Terminal

# Ctrl-C reaches whoever has the terminal as its controlling one.
AT_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("rpcnode", run_name="__main__", alter_sys=True)
"""
PROJECT = Path(__file__).parents[2]

SHOP = """
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

from rpcnode.events import EventDispatcher, event_handler
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.timer import timer


def note(text):
    with Path("notes").open("a") as file:
        file.write(f"{text}\\n")


class Stock:
    name = "stock"

    @rpc
    def reserve(self, sku, quantity):
        if sku == "none":
            raise ValueError("no such sku")
        return quantity


class Orders:
    name = "orders"
    stock = RpcProxy("stock")
    dispatch = EventDispatcher()

    @rpc
    def place(self, sku, quantity=1):
        self.stock.reserve(sku, quantity)
        self.dispatch("placed", {"sku": sku, "quantity": quantity})
        return {"status": "placed", "sku": sku, "quantity": quantity}

    @rpc
    def nap(self, seconds):
        note("napping")
        time.sleep(seconds)  # work that takes as long as the test says
        note("napped")
        return "rested"

    @rpc
    def age(self):
        return {"born": date(2024, 2, 29), "price": Decimal("1.50"), "ratio": float("nan")}

    @rpc
    def shout(self):
        raise ValueError("\\x1b[31mred\\nFAKE: line")

    @rpc
    def spin(self):
        note("spinning")
        while True:
            pass


class Mailer:
    name = "mailer"

    @event_handler("orders", "placed")
    def send(self, payload):
        time.sleep(0.1)  # so that an event is still at work when the call has returned
        note(f"mail {payload['sku']}")

    @event_handler("orders", "nap")
    def nap(self, seconds):
        note("napping")
        time.sleep(seconds)  # work that takes as long as the test says
        note("napped")


class Clock:
    name = "clock"

    @timer(interval=0.1)
    def tick(self):
        note("tick")
"""


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of commands; it names no broker."""
    kept = {name: value for name, value in os.environ.items() if name != "AMQP_URI"}
    return {**kept, "PYTHONPATH": str(PROJECT), "TERM": "xterm"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a module `shop`, the one that commands run in; notes are taken there."""
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@pytest.fixture
def notes(tmp_path: Path) -> Callable[[], list[str]]:
    """Return a function that returns what the services have noted."""

    def read() -> list[str]:
        path = tmp_path / "notes"
        return path.read_text().splitlines() if path.exists() else []

    return read


@pytest.fixture
def rpcnode(tmp_path: Path, environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs the command to its end."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "rpcnode", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environ,
            timeout=DEADLINE,
        )

    return run


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Callable[..., Process]]:
    """Return a function that starts the command."""
    started = []

    def run(*arguments: str) -> Process:
        folder = tmp_path / f"process-{len(started)}"
        folder.mkdir()
        with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "rpcnode", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=tmp_path,
                env=environ,
            )
        started.append(Process(process, folder))
        return started[-1]

    yield run
    for process in started:
        process.kill()


@pytest.fixture
def terminal(tmp_path: Path, environ: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts the command at a terminal."""
    opened = []

    def run(*arguments: str) -> Terminal:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=tmp_path,
            env=environ,
            start_new_session=True,
        )
        os.close(slave)
        opened.append(Terminal(process, master))
        return opened[-1]

    yield run
    for each in opened:
        each.close()
