"""What is found in a file: words to replace, and places that somebody must look at."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from rpcnode.exceptions import RpcNodeError

OLD, NEW = "nameko", "rpcnode"
CHECKED = re.compile(r"#\s*rpcnode:\s*checked\b")  # what somebody has looked at and found good
_COMMENT = re.compile(r"(?:^|\s)#")
_LINE_END = re.compile(r"\r\n|\r|\n")


class Unreadable(RpcNodeError):
    """Raised for a file that cannot be understood; its text is the reason."""


@dataclass(frozen=True, order=True)
class Edit:
    """A piece of text, from `start` up to `end` in characters, and what takes its place."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, order=True)
class Finding:
    """A place, by its line, that a rule speaks of; `detail` is what the rule cannot know."""

    line: int
    rule: str
    detail: str = ""


@dataclass
class Analysis:
    """What one file has."""

    edits: set[Edit] = field(default_factory=set)
    findings: set[Finding] = field(default_factory=set)

    def add(self, other: "Analysis") -> None:
        """Take over what another analysis of the same text has found."""
        self.edits |= other.edits
        self.findings |= other.findings


class Source:
    """A text and its lines as Python counts them: a form feed, for example, ends none."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def line_of(self, offset: int) -> int:
        """Return the number of the line, from 1, that has the character at `offset`."""
        return bisect_right(self.starts, offset)

    def line(self, number: int) -> str:
        """Return a line without its end."""
        start = self.starts[number - 1]
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def offset(self, line: int, column: int) -> int:
        """Return where a node of the syntax tree is; its column counts bytes of UTF-8."""
        before = self.line(line).encode("utf-8", "surrogatepass")[:column]
        return self.starts[line - 1] + len(before.decode("utf-8", "surrogatepass"))

    def outside_comments(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Yield the matches of a pattern that do not end behind a `#` that begins a comment."""
        for match in pattern.finditer(self.text):
            last = match.end() - 1
            before = self.text[self.starts[self.line_of(last) - 1] : last]
            if not _COMMENT.search(before):
                yield match

    def is_checked(self, line: int) -> bool:
        """Return whether a comment says that somebody has looked at a line."""
        return CHECKED.search(self.line(line)) is not None

    def apply(self, edits: set[Edit]) -> str:
        """Return the text with the edits in it; where two overlap, the longer one."""
        parts: list[str] = []
        end = 0
        for edit in sorted(edits, key=lambda each: (each.start, -each.end)):
            if edit.start >= end:
                parts += [self.text[end : edit.start], edit.new]
                end = edit.end
        return "".join([*parts, self.text[end:]])
