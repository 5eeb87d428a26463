"""`rpcnode dead`: look at dead letters, send them back to work, throw them away, keep them."""

import sys
from collections.abc import Callable, Sequence

from rpcnode.cli.brokers import open_config
from rpcnode.cli.dead_files import export_letters, import_letters
from rpcnode.cli.dead_list import list_letters
from rpcnode.cli.dead_options import (
    add_choice_options,
    choice_of,
    letters,
)
from rpcnode.cli.dead_show import show_letter
from rpcnode.cli.failing import FAILED
from rpcnode.cli.options import make_parser, positive_number
from rpcnode.cli.subcommands import run_subcommand
from rpcnode.cli.tables import one_line_of
from rpcnode.deadletters.box import DeadLetters, dead_name
from rpcnode.deadletters.replaying import Replayed
from rpcnode.exceptions import CommandError

DONE = 0

HELP = """\
usage: rpcnode dead COMMAND [options]

  list     count dead letters by queue, reason, exception and handler
  show     show one
  replay   send them back to work
  purge    throw them away
  export   write them to a file
  import   put those of a file into their dead queues

  rpcnode dead COMMAND --help    what a command can do"""

REPLAY = """\
Send dead letters back to work: each goes to the queue that it died in, and is taken out of the
dead queue once the broker has it there. Services may run meanwhile. What dies again stays dead."""
PURGE = """\
Throw dead letters away, all of a queue or those that the conditions pick. Asks first."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    return run_subcommand("dead", COMMANDS, HELP, arguments)


def replay(arguments: Sequence[str]) -> int:
    """Run `dead replay`."""
    parser = make_parser("dead replay", REPLAY)
    add_choice_options(parser)
    parser.add_argument(
        "--to",
        metavar="QUEUE",
        action="append",
        default=[],
        help="to this queue in place of the one that they died in; can be repeated, then each "
        "letter goes to all of them",
    )
    parser.add_argument("--rate", metavar="N", type=positive_number, help="at most N per second")
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    options = parser.parse_args(arguments)
    where = choice_of(options)
    with DeadLetters(open_config(options)) as dead:
        result = dead.replay(
            options.queue,
            where=where,
            limit=options.limit,
            rate=options.rate,
            to=options.to,
            dry_run=options.dry_run,
        )
    return _report(result, dead_name(options.queue), is_dry=options.dry_run)


def _report(result: Replayed, queue: str, *, is_dry: bool) -> int:
    if is_dry:
        print(f"would replay {letters(result.matched, queue)}")
        return DONE
    print(f"replayed {result.replayed} of {letters(result.matched, queue)}", flush=True)
    if result.died_again:
        print(f"died again meanwhile, and left alone: {result.died_again}", file=sys.stderr)
    for reason, count in result.failures.most_common():
        print(f"Error: {count} not replayed: {one_line_of(reason)}", file=sys.stderr)
    return FAILED if result.failures else DONE


def purge(arguments: Sequence[str]) -> int:
    """Run `dead purge`."""
    parser = make_parser("dead purge", PURGE)
    add_choice_options(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    where = choice_of(options)
    queue = dead_name(options.queue)
    with DeadLetters(open_config(options)) as dead:
        limit = options.limit
        if not options.yes:
            if where is None:
                count = min(dead.count(queue), limit or sys.maxsize)
            else:
                count = sum(1 for _ in dead.read(queue, where=where, limit=limit))
            dead.close()  # nobody knows how long the answer takes
            if not _confirmed(f"Throw away {letters(count, queue)}?"):
                print("nothing was thrown away")
                return FAILED
            limit = count  # what has come meanwhile was not asked for
        purged = dead.purge(queue, where=where, limit=limit)
    print(f"threw away {letters(purged, queue)}")
    return DONE


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("nobody is there to ask: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_letters,
    "show": show_letter,
    "replay": replay,
    "purge": purge,
    "export": export_letters,
    "import": import_letters,
}
