"""`rpcnode dead list`: how many dead letters there are, and what they died of."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rpcnode.cli.brokers import add_management_option, open_config, queues_of
from rpcnode.cli.dead_options import add_where_option, choice_of, positive_count
from rpcnode.cli.failing import FAILED
from rpcnode.cli.options import make_parser
from rpcnode.cli.output import one_line
from rpcnode.cli.service_queues import dead_queues_of
from rpcnode.cli.tables import Row, add_format_option, print_rows
from rpcnode.config import Config
from rpcnode.deadletters.box import DeadLetters, dead_name
from rpcnode.deadletters.conditions import Condition
from rpcnode.deadletters.letter import SUFFIX
from rpcnode.deadletters.summary import kinds_of
from rpcnode.exceptions import BrokerUnavailable, QueueNotFound

MOST_READ = 10_000

DESCRIPTION = """\
Count dead letters by queue, reason, exception and handler. Without the name of a queue or a
service, all dead queues of the virtual host are looked at, which RabbitMQ's management API
knows."""


@dataclass(frozen=True)
class Line(Row):
    """The letters of a queue that died of the same."""

    queue: str
    letters: int
    reason: str = ""
    exception: str = ""
    handler: str = ""
    oldest: datetime | None = None
    newest: datetime | None = None


def list_letters(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    where = choice_of(options)
    config = open_config(options)
    lines: list[Line] = []
    is_complete = True
    with DeadLetters(config) as dead:
        for queue in _queues(options, config):
            try:
                lines += _lines(dead, queue, where, options)
            except QueueNotFound as exc:
                # Those that services would make at the first failure may well not be there.
                is_complete = is_complete and bool(options.service and not options.queues)
                if not is_complete:
                    print(f"Error: {one_line(exc)}", file=sys.stderr)
    print_rows(lines, Line, options.format)
    return 0 if is_complete else FAILED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("dead list", DESCRIPTION)
    parser.add_argument(
        "queues", metavar="QUEUE", nargs="*", help="dead queues, or those that they belong to"
    )
    parser.add_argument(
        "--service",
        metavar="MODULE[:CLASS]",
        action="append",
        default=[],
        help="the dead queues of these services (can be repeated)",
    )
    add_where_option(parser)
    parser.add_argument(
        "--limit",
        metavar="N",
        type=positive_count,
        default=MOST_READ,
        help=f"read at most N letters of each queue, the oldest first (default: {MOST_READ})",
    )
    parser.add_argument(
        "--totals", action="store_true", help="read none: only count what each queue has"
    )
    add_management_option(parser)
    add_format_option(parser)
    return parser.parse_args(arguments)


def _queues(options: argparse.Namespace, config: Config) -> list[str]:
    named = [dead_name(queue) for queue in options.queues]
    if named or options.service:
        return list(dict.fromkeys([*named, *dead_queues_of(options.service, config)]))
    try:
        known = queues_of(options, config)
    except BrokerUnavailable as exc:
        exc.add_note("name queues, or services with --service, and it is not needed")
        raise
    return sorted(each["name"] for each in known if each["name"].endswith(SUFFIX))


def _lines(
    dead: DeadLetters, queue: str, where: Condition | None, options: argparse.Namespace
) -> list[Line]:
    count = dead.count(queue)
    if options.totals or not count:
        return [Line(queue, count)]
    if count > options.limit:
        print(
            f"read the oldest {options.limit} of the {count} letters of {queue!r}: --limit reads "
            "more, --totals only counts",
            file=sys.stderr,
        )
    # The limit is for what is read, whether it is meant or not.
    letters = dead.read(queue, limit=options.limit)
    kinds = kinds_of(letter for letter in letters if where is None or where(letter))
    return [
        Line(
            queue, kind.letters, kind.reason, kind.exc_type, kind.handler, kind.oldest, kind.newest
        )
        for kind in kinds
    ]
