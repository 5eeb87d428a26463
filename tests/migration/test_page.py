"""The page on coming from Nameko: it knows every rule, and each of its rows is shown by a test."""

import ast
import re
from pathlib import Path

import pytest

from rpcnode.migration.rules import RULES
from tests.test_guarantees import is_check

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "docs" / name for name in ("migrating-from-nameko.md", "cli.md")]
PAGE = PAGES[0].read_text(encoding="utf-8")
HEAD = "| what | in Nameko | in rpcnode | you write | shown by |"
ROW = re.compile(r"^\| (?P<what>[^|]+) (?:\| [^|]+ ){3}\| `(?P<test>tests/[^`|]+)` \|$")
ROWS = [match.groupdict() for match in map(ROW.match, PAGE.splitlines()) if match]


@pytest.mark.parametrize("row", ROWS, ids=[row["what"] for row in ROWS])
def test_row_is_shown_by_a_test(row):
    file, _, function = row["test"].partition("::")

    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))

    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    (found,) = [node for node in functions if node.name == function]
    assert any(is_check(node) for node in ast.walk(found))


def test_every_row_is_read():
    tables = PAGE.split(HEAD)[1:]
    rows = [
        re.findall(r"^\|(?! ---).*", table.partition("\n\n")[0], re.MULTILINE) for table in tables
    ]

    assert len(tables) == 4
    assert sum(map(len, rows)) == len(ROWS)
    assert len({row["what"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("name", RULES)
def test_rule_is_on_a_page(name):
    assert any(f"`{name}`" in page.read_text(encoding="utf-8") for page in PAGES)


def test_page_names_no_rule_that_does_not_exist():
    assert {name for row in ROWS for name in re.findall(r"\(`([\w-]+)`\)", row["what"])} <= set(
        RULES
    )


def test_files_of_examples_exist():
    for name in re.findall(r"`(tests/nameko_examples/\w+\.py)`", PAGE):
        assert (PROJECT / name).exists(), name


def test_all_loggers_are_below_one():
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "rpcnode").rglob("*.py")]

    names = {name for source in sources for name in re.findall(r"getLogger\((.*?)\)", source)}

    # The last one is the root logger, which `rpcnode` sets up and does not log to.
    ours = re.compile(r'__name__|\w+\.__module__|"rpcnode[\w.]*"|')
    assert "__name__" in names
    assert [name for name in names if not ours.fullmatch(name)] == []
