"""The fixtures and hooks that all tests share."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import kombu

from tests.management_api import ManagementApi

ROOT = Path(__file__).parent.parent
HANGING_TESTS = """\
import pytest
from rpcnode.concurrency import Event, monkey_patch, sleep, spawn

monkey_patch()

@pytest.mark.timeout(0.1)
def test_that_waits():
    Event().wait()

@pytest.mark.timeout(0.1)
def test_beside_a_green_thread_that_never_yields():
    def never_yield():
        while True:
            pass

    spawn(never_yield)
    Event().wait()

def test_after_those():
    sleep(0)
"""


def test_test_that_hangs_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING_TESTS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--rootdir={tmp_path}", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert "2 failed, 1 passed" in done.stdout
    assert "test_that_waits took longer than 0.1 seconds" in done.stdout


def test_vhost_is_fresh_and_usable(vhost_uri: str, management_api: ManagementApi) -> None:
    vhost = urlsplit(vhost_uri).path[1:]

    with kombu.Connection(vhost_uri) as connection:
        connection.SimpleQueue("letters").put("hello")

    (queue,) = management_api.request("GET", f"queues/{vhost}")
    assert queue["name"] == "letters"
