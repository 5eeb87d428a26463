"""`rpcnode test`."""

import pytest

TEST = """
import sys
from rpcnode.concurrency import is_patched

def test_is_patched():
    assert is_patched()

def test_number():
    assert {number} == 3
"""


@pytest.mark.parametrize(("number", "exit_code"), [(3, 0), (4, 1)])
def test_pytest_runs_patched_and_its_exit_code_is_passed_on(rpcnode, tmp_path, number, exit_code):
    (tmp_path / "test_it.py").write_text(TEST.format(number=number))

    result = rpcnode("test", "-q", "-p", "no:cacheprovider", "test_it.py")

    assert result.returncode == exit_code
    assert f"{2 - exit_code} passed" in result.stdout
    assert "Module already imported" not in result.stdout


def test_pytest_gets_the_arguments(rpcnode, tmp_path):
    (tmp_path / "test_it.py").write_text(TEST.format(number=4))

    result = rpcnode("test", "-q", "-k", "patched")

    assert result.returncode == 0
    assert "1 passed, 1 deselected" in result.stdout


def test_missing_pytest_is_told(rpcnode, tmp_path):
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError(name='pytest')")

    result = rpcnode("test")

    assert result.returncode == 2
    assert "pip install pytest" in result.stderr
