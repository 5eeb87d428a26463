"""The entry of the command."""

import subprocess
import sys

import pytest

from rpcnode import __version__
from rpcnode.cli.main import COMMANDS


def test_help_names_every_command(rpcnode):
    result = rpcnode("--help")

    assert result.returncode == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", [each for each in COMMANDS if each != "test"])
def test_every_command_has_help(rpcnode, name):
    result = rpcnode(name, "--help")

    assert result.returncode == 0
    assert f"usage: rpcnode {name}" in result.stdout


def test_version_is_told(rpcnode):
    assert rpcnode("--version").stdout == f"rpcnode {__version__}\n"


def test_unknown_command_gets_a_hint(rpcnode):
    result = rpcnode("rnu")

    assert result.returncode == 2
    assert "there is no command 'rnu'; did you mean 'run'?" in result.stderr


def test_no_command_is_an_error_with_help(rpcnode):
    result = rpcnode()

    assert result.returncode == 2
    assert "usage: rpcnode" in result.stderr


def test_wrong_option_is_an_error(rpcnode):
    assert rpcnode("run", "--no-such-option").returncode == 2


def test_help_loads_nothing_heavy_and_takes_little_time(environ):
    script = (
        "import os, sys; from rpcnode.cli.main import main; main(['--help']); "
        "assert not {'eventlet', 'kombu', 'yaml', 'argparse'} & set(sys.modules); "
        "times = os.times(); print(times.user + times.system, file=sys.stderr)"
    )

    runs = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=True
        )
        for _ in range(3)
    ]

    assert min(float(run.stderr) for run in runs) < 0.080


def test_library_is_patched_before_kombu_is_imported(environ):
    script = """
import sys
from rpcnode.cli.main import main
from rpcnode.concurrency import is_patched

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "kombu":
            print("kombu after the patch:", is_patched())

sys.meta_path.insert(0, Watch())
print("patched by the import:", is_patched())
main(["run", "missing"])
"""

    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environ
    )

    assert result.stdout == "patched by the import: False\nkombu after the patch: True\n"
