"""Virtual environments for what is not ours: peers that are measured, and a fleet for the tests."""

import subprocess
import sys
from pathlib import Path


class NotAvailable(Exception):
    """Raised when an environment, or what belongs there, cannot be made."""


def make_environment(folder: Path, name: str, *requirements: str) -> None:
    """Make a virtual environment for `name`, with what pip takes for `requirements`.

    Raises NotAvailable with the reason: the package index cannot be reached, or lacks something.
    """
    run(name, sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder))
    run_pip(folder, name, "install", *requirements)


def python_of(folder: Path) -> str:
    """Return the interpreter of a virtual environment."""
    return str(folder / "bin" / "python")


def run_pip(folder: Path, name: str, *command: str) -> None:
    """Have our pip work on the environment of `name`; one of its own would take as long again."""
    run(name, sys.executable, "-m", "pip", "--python", python_of(folder), "-q", *command)


def run(name: str, *command: str) -> None:
    """Run a command that the environment of `name` needs; raise NotAvailable when it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError as exc:
        raise NotAvailable(f"no environment for {name}: no {command[0]}") from exc
    if done.returncode != 0:
        raise NotAvailable(f"no environment for {name}: {done.stdout.strip()[-1000:]}")
