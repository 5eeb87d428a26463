"""`rpcnode retry`: what waits for another attempt, and the queues where it waits."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rpcnode.amqp.entities import QUORUM
from rpcnode.amqp.holds import HoldQueue
from rpcnode.amqp.session import Session
from rpcnode.amqp.settings import settings_from
from rpcnode.cli.brokers import add_management_option, open_config, queues_of
from rpcnode.cli.failing import FAILED
from rpcnode.cli.options import make_parser
from rpcnode.cli.subcommands import run_subcommand
from rpcnode.cli.tables import Row, add_format_option, print_rows
from rpcnode.exceptions import QueueNotFound

DONE = 0
OK, STUCK, UNUSED = "ok", "stuck", "nothing to wait for"

HELP = """\
usage: rpcnode retry COMMAND [options]

  status   list the queues where messages wait for another attempt, or for their time
  gc       delete those of them that are empty

  rpcnode retry COMMAND --help    what a command can do"""

STATUS = """\
List hold queues: where messages wait for another attempt, or for the time to publish them. What
is stuck waits for a queue or an exchange that is not there: when its time comes it is lost, or
stays for ever. The exit code is 1 then."""
GC = """\
Delete the hold queues in which nothing waits. Services may run meanwhile: they make a hold queue
anew when they need it."""


@dataclass(frozen=True)
class Line(Row):
    """One hold queue; `delay` in seconds."""

    queue: str
    waits_for: str
    delay: float
    messages: int
    state: str


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    return run_subcommand("retry", COMMANDS, HELP, arguments)


def show_status(arguments: Sequence[str]) -> int:
    """Run `retry status`."""
    parser = make_parser("retry status", STATUS)
    add_management_option(parser)
    add_format_option(parser)
    options = parser.parse_args(arguments)
    with _broker(options) as (session, known):
        names = {each["name"] for each in known}
        lines = [_line(session, each, names) for each in _holds(known)]
    print_rows(lines, Line, options.format)
    return FAILED if any(line.state == STUCK for line in lines) else DONE


def collect(arguments: Sequence[str]) -> int:
    """Run `retry gc`."""
    parser = make_parser("retry gc", GC)
    add_management_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    options = parser.parse_args(arguments)
    with _broker(options) as (session, known):
        for hold in _holds(known):
            reason = _reason_to_stay(session, hold)
            if reason is None and options.dry_run:
                print(f"would delete {hold.name!r}")
            elif reason is None and _delete(session, hold):
                print(f"deleted {hold.name!r}", flush=True)
            else:
                reason = reason or "something has come meanwhile"
                print(f"left {hold.name!r}: {reason}", file=sys.stderr)
    return DONE


@contextmanager
def _broker(options: argparse.Namespace) -> Iterator[tuple[Session, list[dict[str, Any]]]]:
    """Give a connection to the broker, and what the management API tells of its queues."""
    config = open_config(options)
    known = queues_of(options, config)
    with closing(Session(settings_from(config), config["PUBLISH_TIMEOUT"])) as session:
        yield session, known


def _holds(known: list[dict[str, Any]]) -> list[HoldQueue]:
    holds = [HoldQueue.from_description(each) for each in known]
    return sorted((each for each in holds if each is not None), key=lambda hold: hold.name)


def _line(session: Session, hold: HoldQueue, names: set[str]) -> Line:
    count = _count(session, hold)
    if hold.target is None:
        waits_for, is_there = f"queue {hold.owner}", hold.owner in names
    else:
        waits_for, is_there = f"exchange {hold.target}", session.has_exchange(hold.target)
    state = OK if is_there else STUCK if count else UNUSED
    return Line(hold.name, waits_for, hold.milliseconds / 1000, count, state)


def _count(session: Session, hold: HoldQueue) -> int:
    try:
        count = session.count(hold.name)
    except QueueNotFound:  # somebody has deleted it since
        return 0
    # A quorum queue keeps what it cannot hand on, and does not count that among the ready ones.
    return max(count, hold.messages) if hold.queue_type == QUORUM else count


def _reason_to_stay(session: Session, hold: HoldQueue) -> str | None:
    if hold.queue_type == QUORUM:
        return "RabbitMQ cannot delete a quorum queue only if it is empty"
    count = _count(session, hold)
    return f"messages that wait there: {count}" if count else None


def _delete(session: Session, hold: HoldQueue) -> bool:
    # The queue first: who publishes between the two gets the message back, and makes both anew.
    if not session.delete_unused_queue(hold.name):
        return False
    if hold.exchange is not None:
        session.delete_unused_exchange(hold.exchange)
    return True


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"status": show_status, "gc": collect}
