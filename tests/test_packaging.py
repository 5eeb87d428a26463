"""What is installed, and what the build's scripts take for an interpreter."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import rpcnode

ROOT = Path(__file__).parent.parent
FIND_PYTHON = ROOT / ".ci" / "find-python"


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import rpcnode; print(set(sys.modules) - old)"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.strip() == "{'rpcnode'}"


def test_installed_version_is_the_one_of_the_source() -> None:
    assert metadata.version("rpcnode") == rpcnode.__version__


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_entry_point_can_be_loaded(group: str) -> None:
    (entry_point,) = metadata.entry_points(group=group, name="rpcnode")

    assert entry_point.load() is not None


def test_types_are_shipped() -> None:
    assert (Path(rpcnode.__file__).parent / "py.typed").exists()


def test_an_interpreter_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    fake_interpreter(tmp_path / "broken" / "python3", "exit 127")
    good = fake_interpreter(tmp_path / "good" / "python3", f'exec "{real_python()}" "$@"')

    done = find_python(path=[tmp_path / "broken", tmp_path / "good"])

    assert done.stdout == f"{good}\n"


def test_an_interpreter_is_what_it_says_not_what_it_is_called(tmp_path: Path) -> None:
    fake_interpreter(tmp_path / "bin" / "python3.99", f'exec "{real_python()}" "$@"')

    done = find_python("3.99", path=[tmp_path / "bin"])

    assert done.returncode == 1
    assert "no CPython 3.99" in done.stderr


def test_pyenv_is_searched_after_the_path(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    script = f'exec "{real_python()}" "$@"'
    older = fake_interpreter(tmp_path / "pyenv/versions" / f"{version}.9" / "bin/python", script)
    newer = fake_interpreter(tmp_path / "pyenv/versions" / f"{version}.10" / "bin/python", script)

    done = find_python(version, path=[tmp_path], PYENV_ROOT=str(tmp_path / "pyenv"))

    assert older != newer
    assert done.stdout == f"{newer}\n"


def test_without_an_interpreter_it_says_what_is_missing(tmp_path: Path) -> None:
    done = find_python(path=[tmp_path])

    assert done.returncode == 1
    assert done.stdout == ""
    assert "no CPython 3.11 or later with the module venv" in done.stderr


def find_python(
    *args: str, path: list[Path], **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the script where only `path` and the tools that it needs itself are on PATH."""
    tools = path[0] / "tools"
    tools.mkdir(parents=True)
    for tool in ("bash", "sort"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    variables = {
        "PATH": os.pathsep.join(map(str, [*path, tools])),
        "HOME": str(path[0]),
        **environment,
    }
    return subprocess.run(
        [str(FIND_PYTHON), *args], env=variables, capture_output=True, text=True, cwd=path[0]
    )


def fake_interpreter(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def real_python() -> str:
    return str(Path(sys.executable).resolve())
