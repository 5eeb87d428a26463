"""The table of guarantees: each row is shown by a test that exists."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (?P<what>.+?) \| (?P<outcome>.+?) \| (?P<exit>\d?) ?\| `(?P<test>.+?)` \|$")
PAGE = (PROJECT / "docs" / "guarantees.md").read_text()
ROWS = [match.groupdict() for match in map(ROW.match, PAGE.splitlines()) if match]


@pytest.mark.parametrize("row", ROWS, ids=[row["what"] for row in ROWS])
def test_row_is_shown_by_a_test(row):
    file, _, function = row["test"].partition("::")

    tree = ast.parse((PROJECT / file).read_text())

    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    (found,) = [node for node in functions if node.name == function]
    assert any(is_check(node) for node in ast.walk(found))


def is_check(node):
    if isinstance(node, ast.Assert):
        return True
    is_call = isinstance(node, ast.Call)
    return is_call and ast.unparse(node.func) in ("pytest.raises", "wait_until")


def test_every_row_of_the_page_is_read():
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    tables = lines.count("| what is wrong | what happens | exit | shown by |")

    assert len(ROWS) == len(lines) - 2 * tables
    assert len({row["what"] for row in ROWS}) == len(ROWS)
