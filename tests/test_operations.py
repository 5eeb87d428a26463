"""The page for those who run services knows each line that they may find in the log."""

import re
from pathlib import Path

from tests.log_lines import GAP, log_lines

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
LINES = set(log_lines(ROOT / "rpcnode"))


def has_words(line):
    """Return whether a line has a text of its own, and not only that of an error."""
    return re.search(r"\w", line) is not None


def test_each_line_at_warning_or_above_is_explained():
    explained = set(re.findall(r"`([^`\n]+)`", PAGE))

    missing = sorted({each for each in LINES if has_words(each[1]) and each[1] not in explained})

    assert missing == []


def test_lines_that_are_explained_exist():
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `")]
    explained = {each for row in rows for each in re.findall(r"`([^`]+)`", row) if GAP in each}

    assert explained - {text for _module, text in LINES} == set()
    assert len(explained) > 40
