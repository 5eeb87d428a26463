"""A Nameko 2 service, its configuration and its tests: they work once the word is replaced."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ORIGINAL = Path(__file__).parent / "nameko_way"
FILES = {
    "warehouse.py": "warehouse.py",
    "warehouse.yaml": "warehouse.yaml",
    "checks.py": "test_warehouse.py",
    "patched.py": "conftest.py",
}
# As of Nameko 2.14.1, Python 3.11 and Werkzeug 2.0, the originals pass under these names, too.
COMMAND = ["-m", "pytest", "-q", "-p", "rpcnode.pytest_plugin", "-p", "no:cacheprovider"]


def replace_the_word(folder):
    """Copy the originals, with `rpcnode` in the place of `nameko`."""
    for name, copy in FILES.items():
        text = (ORIGINAL / name).read_text(encoding="utf-8")
        (folder / copy).write_text(re.sub(r"\bnameko\b", "rpcnode", text), encoding="utf-8")


def test_service_configuration_and_tests_work_once_the_word_is_replaced(
    tmp_path, rabbit_uri, rabbit_api_uri
):
    replace_the_word(tmp_path)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    options = [f"--amqp-uri={rabbit_uri}", f"--rabbit-ctl-uri={rabbit_api_uri}"]

    finished = subprocess.run(
        [sys.executable, *COMMAND, *options, "test_warehouse.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=55,
        cwd=tmp_path,
        env={
            **inherited,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        },
    )

    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-1000:]
    assert re.search(r"^20 passed", finished.stdout, flags=re.MULTILINE)
