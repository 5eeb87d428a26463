"""Small code bases that tests move."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rpcnode.migration.moving import Result, look


class CodeBase:
    """Files below the current folder, and what is found in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def look(self, *excluded: str) -> Result:
        return look([Path()], excluded)

    def moved(self, content: str, name: str = "service.py") -> str:
        """What a file with this content would be."""
        self.put(name, content)
        moves = self.look().moves
        return moves[0].after if moves else content

    def rules(self, content: str, name: str = "service.py") -> list[str]:
        """The rules that speak of a file with this content, in the order of their lines."""
        self.put(name, content)
        return [place.finding.rule for place in self.look().places]

    def skipped(self, *excluded: str) -> dict[str, tuple[str, bool]]:
        """The reason for each path that is skipped, and whether somebody should look."""
        skipped = self.look(*excluded).skipped
        return {str(each.path): (each.reason, each.counts) for each in skipped}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CodeBase:
    """An empty code base, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    return CodeBase(tmp_path)


@pytest.fixture
def moved(code: CodeBase) -> Callable[..., str]:
    """Return a function that returns what a text would be after its move."""
    return code.moved


@pytest.fixture
def rules(code: CodeBase) -> Callable[..., list[str]]:
    """Return a function that returns the rules that speak of a text."""
    return code.rules
