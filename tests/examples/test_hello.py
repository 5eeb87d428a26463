"""The service on the first screen of the README."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from examples.hello import Greeter, GuestBook
from rpcnode.testing import entrypoint_hook, entrypoint_waiter

ROOT = Path(__file__).parent.parent.parent


def test_the_greeter_greets_and_the_guest_book_is_signed(runner_factory, memory_config, capsys):
    runner = runner_factory(memory_config, Greeter, GuestBook)
    runner.start()
    greeter, guest_book = runner.containers

    with (
        entrypoint_waiter(guest_book, "sign", timeout=5),
        entrypoint_hook(greeter, "hello") as hello,
    ):
        reply = hello("Ada")

    assert reply == "Hello, Ada!"
    assert capsys.readouterr().out == "Ada was here\n"


def test_the_readme_shows_the_tested_example():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    example = (ROOT / "examples" / "hello.py").read_text(encoding="utf-8")

    assert f"```python\n{example}```" in readme


def console_of(page):
    """Return the commands of a page, each with the lines that it shows as their output."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for command in block.removeprefix("$ ").split("\n$ "):
            line, _, output = command.partition("\n")
            yield line.partition("    #")[0].strip(), output.rstrip("\n")


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_first_command_of_a_page_does_what_the_page_shows(page):
    shown = dict(console_of(page))
    command = """rpcnode call --host hello greeter.hello '"Ada"'"""

    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=ROOT / "examples",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout.rstrip("\n") == shown[command]
    assert done.returncode == 0
