"""What is told: for people, and for programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rpcnode.migration.moving import Place, Result
from rpcnode.migration.rules import RULES, Kind, Rule
from rpcnode.migration.tree import Skipped

LONGEST = 100  # characters of a line that are shown


def differences(result: Result) -> str:
    """Return what is to be replaced, as a diff."""
    return "\n".join(move.diff() for move in result.moves)


def as_text(result: Result, written: Sequence[Path], failed: Sequence[Skipped]) -> str:
    """Return the places rule by rule, what was skipped, and the sums."""
    parts = [_rule(rule, result) for kind in Kind for rule in RULES.values() if rule.kind is kind]
    skipped = [f"  {each.path}: {each.reason}" for each in [*result.skipped, *failed]]
    parts += ["\n".join(["skipped:", *skipped, ""])] if skipped else []
    return "\n".join([*filter(None, parts), *_sums(result, written, failed)])


def _rule(rule: Rule, result: Result) -> str:
    places = [place for place in result.places if place.finding.rule == rule.name]
    if not places:
        return ""
    title = [f"{rule.name}: {rule.says}", f"  write: {rule.write}"]
    return "\n".join([*title, *map(_place, places), ""])


def _place(place: Place) -> str:
    line = f"  {place.path}:{place.finding.line}: {place.text[:LONGEST]}"
    return f"{line}\n      {place.finding.detail}" if place.finding.detail else line


def _sums(result: Result, written: Sequence[Path], failed: Sequence[Skipped]) -> list[str]:
    count = sum(move.count for move in result.moves)
    done = f", {len(written)} written" if written else "; --write does it"
    moved = f"{_number(count, 'word')} in {_number(len(result.moves), 'file')} to replace{done}"
    kinds = [f"{_number(len(result.of_kind(kind)), 'place')}: {kind}" for kind in Kind]
    skipped = sum(each.counts for each in [*result.skipped, *failed])
    last = f"{_number(skipped, 'path')}: skipped, to be looked at"
    return [moved if count else "no word to replace", *kinds, last]


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def as_json(result: Result, written: Sequence[Path], failed: Sequence[Skipped]) -> str:
    """Return one JSON object with all of it."""
    value: dict[str, Any] = {
        "moves": [
            {"path": str(each.path), "words": each.count, "diff": each.diff()}
            for each in result.moves
        ],
        "places": [
            {
                "path": str(place.path),
                "line": place.finding.line,
                "rule": place.finding.rule,
                "kind": RULES[place.finding.rule].kind.name.lower(),
                "text": place.text,
                "detail": place.finding.detail,
                "says": RULES[place.finding.rule].says,
                "write": RULES[place.finding.rule].write,
            }
            for place in result.places
        ],
        "skipped": [
            {"path": str(each.path), "reason": each.reason, "counts": each.counts}
            for each in [*result.skipped, *failed]
        ],
        "written": [str(path) for path in written],
    }
    return json.dumps(value, indent=2)
