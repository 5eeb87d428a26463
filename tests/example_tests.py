"""Tests in examples, run as their readers run them: by a plain pytest, unpatched."""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Without the conftest.py that patches, and without the settings of our own run.
OPTIONS = ["-q", "--noconftest", "-oaddopts=", "-pno:cacheprovider", "-prpcnode.pytest_plugin"]


def check_that_tests_pass(name: str, *options: str) -> None:
    """Run all tests of an example; fail unless each of them passes."""
    example = ROOT / "examples" / name
    definitions = ast.parse(example.read_text()).body
    names = [node.name for node in definitions if isinstance(node, ast.FunctionDef)]
    tests = [each for each in names if each.startswith("test_")]

    finished = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, str(example), *options],
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )

    assert f"{len(tests)} passed" in finished.stdout, finished.stdout + finished.stderr
