"""`rpcnode dead show`: one dead letter, as people read it."""

import argparse
import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

from rpcnode.cli.brokers import open_config
from rpcnode.cli.dead_options import add_queue_argument, whole_number
from rpcnode.cli.failing import FAILED
from rpcnode.cli.options import make_parser
from rpcnode.cli.output import printable, to_json
from rpcnode.cli.tables import add_format_option, aligned, cell, duration, moment, one_line_of
from rpcnode.config import Config
from rpcnode.deadletters.box import DeadLetters, dead_name
from rpcnode.deadletters.letter import DeadLetter
from rpcnode.exceptions import UndecodableMessage
from rpcnode.serialization import Serialization

DESCRIPTION = """\
Show one dead letter: what happened, the message's properties and headers, the traceback, and the
body, decoded where that can be done. Control characters are escaped."""
MOST_SHOWN = 10_000  # characters of a body
OWN_PREFIX = "rpcnode-"


def show_letter(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    config = open_config(options)
    queue = dead_name(options.queue)
    with DeadLetters(config) as dead:
        letter = next(_letters(dead, queue, options), None)
    if letter is None:
        which = f"index {options.index}" if options.id is None else f"id {options.id!r}"
        print(f"Error: there is no letter with the {which} in {queue!r}", file=sys.stderr)
        return FAILED
    if options.format == "json":
        print(to_json(_as_dict(letter)))
    else:
        most = None if options.full else MOST_SHOWN
        print("\n".join(_head(letter) + _details(letter) + _body(letter, config, most)))
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("dead show", DESCRIPTION)
    add_queue_argument(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--id", metavar="ID", help="the message with this id")
    which.add_argument(
        "--index",
        metavar="N",
        type=whole_number,
        default=0,
        help="the message with this many before it (default: 0, the oldest)",
    )
    parser.add_argument("--full", action="store_true", help="do not cut a long body")
    add_format_option(parser)
    return parser.parse_args(arguments)


def _letters(dead: DeadLetters, queue: str, options: argparse.Namespace) -> Iterator[DeadLetter]:
    if options.id is None:
        return islice(dead.read(queue), options.index, None)
    return dead.read(queue, where=lambda letter: letter.id == options.id, limit=1)


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    values = asdict(letter)
    del values["encoded"]
    try:
        values["body"] = letter.body.decode()
    except UnicodeDecodeError:
        values["body_base64"] = values.pop("body")  # as JSON has bytes that are no text
    return values


def _head(letter: DeadLetter) -> list[str]:
    error = f"{letter.exc_type}: {letter.exc_message}" if letter.exc_type else ""
    times = "once" if letter.attempts == 1 else f"{letter.attempts} times"
    handler = f"{letter.handler} (ran {times})" if letter.handler else ""
    origin = f"exchange {letter.origin_exchange!r}, routing key {letter.origin_key!r}"
    facts = [
        ("queue", letter.queue),
        ("id", letter.id),
        ("reason", letter.reason),
        ("error", error),
        ("handler", handler),
        ("host", letter.host),
        ("first failed", _when(letter.first_failed, None)),
        ("last failed", _when(letter.last_failed, letter.age)),
        ("published to", origin),
        ("replayed", f"{letter.replayed} times" if letter.replayed else ""),
    ]
    return aligned([(name, cell(value)) for name, value in facts])


def _when(when: datetime | None, age: float | None) -> str:
    if when is None:
        return ""
    return moment(when) if age is None else f"{moment(when)} ({duration(age)} ago)"


def _details(letter: DeadLetter) -> list[str]:
    # Its notes have been told already.
    foreign = {k: v for k, v in letter.headers.items() if not str(k).startswith(OWN_PREFIX)}
    lines = _section("properties", letter.properties) + _section("headers", foreign)
    if letter.traceback:
        lines += ["", "traceback", *_indented(printable(letter.traceback))]
    return lines


def _section(title: str, values: Mapping[Any, Any]) -> list[str]:
    if not values:
        return []
    pairs = [(f"  {one_line_of(str(key))}", to_json(value)) for key, value in values.items()]
    return ["", title, *aligned(pairs)]


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.rstrip("\n").split("\n")]


def _body(letter: DeadLetter, config: Config, most: int | None) -> list[str]:
    form, text = _readable(letter, config)
    lines = ["", f"body ({len(letter.body)} bytes, {form})"]
    if most is not None and len(text) > most:
        lines += _indented(text[:most])
        lines.append(f"  ... and {len(text) - most} characters more: --full shows them")
        return lines
    return lines + _indented(text)


def _readable(letter: DeadLetter, config: Config) -> tuple[str, str]:
    """Return what form a body is shown in, and the text."""
    kind = one_line_of(str(letter.properties.get("content_type") or "no content type"))
    try:
        serialization = Serialization.from_config(config)
        payload = serialization.decode(letter.body, letter.properties, letter.headers)
        return kind, _pretty(payload)
    except UndecodableMessage as exc:
        form = f"{kind}, not decoded: {one_line_of(str(exc))}"
    try:
        return form, printable(letter.body.decode())
    except UnicodeDecodeError:
        return f"{form}; in base64", base64.b64encode(letter.body).decode()


def _pretty(payload: Any) -> str:
    # What is JSON already is only laid out; control characters were escaped before.
    return printable(json.dumps(json.loads(to_json(payload)), indent=2, ensure_ascii=False))
