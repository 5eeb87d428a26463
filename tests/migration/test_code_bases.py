"""Real code, many files of it: the move changes the words that it should, and nothing else."""

import ast
import re
from pathlib import Path

import pytest

from rpcnode.migration.rules import Kind

PROJECT = Path(__file__).parents[2]
IMPORT = re.compile(r"^(\s*(?:from|import)\s+)rpcnode\b")
FOLDERS = ["examples", "tests/examples", "tests/extensions", "tests/nameko_examples"]


def in_nameko_s_spelling(text):
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            lines[node.lineno - 1] = IMPORT.sub(r"\1nameko", lines[node.lineno - 1])
    return "\n".join(lines)


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_of_ours_comes_back_from_nameko_s_spelling(code, folder):
    ours = {path.name: path.read_bytes().decode() for path in (PROJECT / folder).glob("*.py")}
    for name, text in ours.items():
        code.put(name, in_nameko_s_spelling(text))

    result = code.look()

    moved = {move.path.name: move.after for move in result.moves}
    told = {(place.path.name, place.finding.detail) for place in result.places}
    assert len(moved) > 2
    for name, text in moved.items():
        lines = zip(ours[name].split("\n"), text.split("\n"), strict=True)
        different = {number for number, (old, new) in enumerate(lines, 1) if old != new}
        # What only rpcnode has, and `rpcnode.config`, is no name of Nameko's: it stays and is told.
        imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        left = [node for node in imports if node.lineno in different]
        assert {node.lineno for node in left} == different
        details = [f"{detail.partition(': ')[0]}." for file, detail in told if file == name]
        for node in left:  # the import itself is told, or what is looked for in what it imports
            paths = tuple(f"{node.module}.{alias.name}." for alias in node.names)
            assert any(detail.startswith(paths) for detail in details)


def test_service_in_nameko_s_spelling_moves_with_its_tests_and_configuration(code):
    for path in (PROJECT / "tests" / "nameko_way").glob("*.*"):
        code.put(path.name, path.read_bytes())

    result = code.look()

    assert result.of_kind(Kind.MISSING) == []
    assert result.skipped == []
    for move in result.moves:
        assert not re.search(r"^\s*(from|import) nameko\b", move.after, re.MULTILINE)
