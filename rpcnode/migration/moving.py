"""The whole of it: every file, what it has, and what it would be."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rpcnode.migration.findings import Analysis, Finding, Source, Unreadable
from rpcnode.migration.project import note_words
from rpcnode.migration.python import parse
from rpcnode.migration.reading import (
    Text,
    analyses_for,
    decode,
    is_of_interest,
    is_python,
    read,
)
from rpcnode.migration.rules import RULES, Kind
from rpcnode.migration.tree import Skipped, find_files

_PASSWORD = re.compile(r"(?<=://)(?P<user>[^\s/:@\"']*+:)[^\s/\"']*@")  # in an address
HIDDEN = r"\g<user>********@"


@dataclass(frozen=True)
class Place:
    """A finding, its file, and the line that it is about."""

    path: Path
    finding: Finding
    text: str


@dataclass(frozen=True)
class Move:
    """A file before and after its edits, and how many they are."""

    path: Path
    before: Text
    after: str
    count: int

    @property
    def data(self) -> bytes:
        """What is to be in the file."""
        return self.after.encode(self.before.encoding)

    def diff(self) -> str:
        """Return the unified difference of the two."""
        old, new = (_lines(text) for text in (self.before.text, self.after))
        name = self.path.as_posix()
        lines = difflib.unified_diff(old, new, name, name, lineterm="")
        return "\n".join([*map(_without_password, lines), ""])


@dataclass
class Result:
    """What was found in all files."""

    moves: list[Move] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def of_kind(self, kind: Kind) -> list[Place]:
        """Return the places that a kind of rule speaks of."""
        return [place for place in self.places if RULES[place.finding.rule].kind is kind]

    def needs_somebody(self) -> bool:
        """Return whether anything is left that a machine cannot do."""
        is_left = self.of_kind(Kind.MISSING) or self.of_kind(Kind.MEANING)
        return bool(is_left) or any(each.counts for each in self.skipped)


def look(roots: Sequence[Path], excluded: Sequence[str] = ()) -> Result:
    """Return what is to be done below some paths; nothing is changed."""
    result, own = Result(), set[str]()
    for found in find_files(roots, excluded):
        if isinstance(found, Skipped):
            result.skipped.append(found)
            continue
        try:
            _look_at(found, result)
        except Unreadable as exc:
            result.skipped.append(Skipped(found, str(exc)))
        own.update((*found.parts, found.stem))
    result.places = [place for place in result.places if not _is_own(place.finding, own)]
    return result


def _is_own(finding: Finding, own: set[str]) -> bool:
    """Return whether a package that extends Nameko is the very code that is looked at."""
    return finding.rule == "extension-package" and finding.detail.replace("-", "_") in own


def _look_at(path: Path, result: Result) -> None:
    data = read(path)
    analyses = analyses_for(path, data)
    if not analyses or not is_of_interest(path, data):
        return
    text = decode(path, data)
    source = Source(text.text)
    found = Analysis()
    for analyse in analyses:
        found.add(analyse(source))
    if not is_python(path, data):
        found.add(note_words(source))
    result.places += _places(path, source, found)
    if found.edits:
        after = source.apply(found.edits)
        if is_python(path, data):
            parse(after)  # it did before, and nobody wants to find out later that it does not
        result.moves.append(Move(path, text, after, len(found.edits)))


def _places(path: Path, source: Source, found: Analysis) -> Iterator[Place]:
    told = {source.line_of(edit.start) for edit in found.edits}
    told |= {finding.line for finding in found.findings if finding.rule != "text"}
    for finding in sorted(found.findings):
        is_done = finding.rule == "text" and finding.line in told
        is_missing = RULES[finding.rule].kind is Kind.MISSING
        if not is_done and (is_missing or not source.is_checked(finding.line)):
            yield Place(path, finding, _without_password(source.line(finding.line).strip()))


def _without_password(line: str) -> str:
    """Return a line as it may be shown, in the log of a build for example."""
    return _PASSWORD.sub(HIDDEN, line)


def _lines(text: str) -> list[str]:
    source = Source(text)
    lines = [source.line(number) for number in range(1, len(source.starts) + 1)]
    return lines[:-1] if lines[-1] == "" else lines
