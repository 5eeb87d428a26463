"""Tables of what was found out, for people and for programs."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from rpcnode.cli.output import printable, to_json


def add_format_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that asks for JSON."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )


@dataclass(frozen=True)
class Row:
    """The base of a table's rows: each field is a column."""


def print_rows(rows: Sequence[Row], row_class: type[Row], form: str) -> None:
    """Print a table, or a list of objects in JSON."""
    if form == "json":
        print(to_json([asdict(row) for row in rows]))
        return
    names = [each.name for each in fields(row_class)]
    heads = [name.replace("_", " ").upper() for name in names]
    cells = [[cell(getattr(row, name)) for name in names] for row in rows]
    for line in aligned([heads, *cells]):
        print(line)


def aligned(lines: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of texts whose columns begin at the same place."""
    listed = list(lines)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in listed
    ]


def cell(value: Any) -> str:
    """Return a value on one line, whatever is in it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return moment(value)
    return one_line_of(str(value))


def moment(value: datetime) -> str:
    """Return a moment as its ISO text, in UTC, without fractions of a second."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def one_line_of(text: str) -> str:
    """Return a text with its control characters escaped, those that end a line, too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """Return about how long that is, in the largest unit that fits: `90m` is `1h`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "0s"
