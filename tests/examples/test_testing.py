"""The tests in the examples, run as their readers run them: by a plain pytest, unpatched."""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing.py"
# Without the conftest.py that patches, and without the settings of our own run.
OPTIONS = ["-q", "--noconftest", "-oaddopts=", "-pno:cacheprovider", "-prpcnode.pytest_plugin"]


def test_tests_of_the_example_pass(rabbit_uri, rabbit_api_uri):
    definitions = ast.parse(EXAMPLE.read_text()).body
    names = [node.name for node in definitions if isinstance(node, ast.FunctionDef)]
    broker = [f"--amqp-uri={rabbit_uri}", f"--rabbit-api-uri={rabbit_api_uri}"]

    finished = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, str(EXAMPLE), *broker],
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )

    assert f"{len(names)} passed" in finished.stdout, finished.stdout + finished.stderr
