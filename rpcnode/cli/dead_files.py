"""`rpcnode dead export` and `rpcnode dead import`: dead letters in files."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rpcnode.cli.brokers import open_config
from rpcnode.cli.dead_options import (
    add_choice_options,
    choice_of,
    letters,
    positive_count,
)
from rpcnode.cli.options import make_parser
from rpcnode.deadletters.box import DeadLetters, dead_name
from rpcnode.exceptions import CommandError

EXPORT = """\
Write dead letters to a file, one line of JSON for each: all of the message, so that `rpcnode dead
import` makes the same again. They stay in their queue unless --remove says otherwise."""
IMPORT = """\
Put the dead letters of a file that `rpcnode dead export` wrote into their dead queues. A file with
a line that is no dead letter is refused as a whole. To import a file twice makes each letter
twice, with the same id."""
READABLE_BY_OWNER = 0o600  # there may be anything in messages


def export_letters(arguments: Sequence[str]) -> int:
    """Run `dead export`; return its exit code."""
    parser = make_parser("dead export", EXPORT)
    add_choice_options(parser)
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="a new file (default: the standard output)"
    )
    parser.add_argument(
        "--remove", action="store_true", help="take them out of the queue once they are on disk"
    )
    options = parser.parse_args(arguments)
    if options.remove and options.file is None:
        raise CommandError("--remove needs a FILE: nobody knows what becomes of an output")
    where = choice_of(options)
    queue = dead_name(options.queue)
    with DeadLetters(open_config(options)) as dead:
        dead.count(queue)  # no file is made for a queue that is not there
        with _new_file(options.file) as file:
            count = dead.export_to(
                file, queue, where=where, limit=options.limit, remove=options.remove
            )
    removed = ", and removed them" if options.remove else ""
    print(f"exported {letters(count, queue)}{removed}", file=sys.stderr)
    return 0


@contextmanager
def _new_file(name: str | None) -> Iterator[IO[str]]:
    """Give a file that was made now, and is there after a crash; None for the standard output."""
    if name is None:
        yield sys.stdout
        return
    path = Path(name)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER)
    except FileExistsError as exc:
        raise CommandError(f"{name} exists: an export makes a new file") from exc
    except OSError as exc:
        raise CommandError(f"cannot write {name}: {exc.strerror}") from exc
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file


def import_letters(arguments: Sequence[str]) -> int:
    """Run `dead import`; return its exit code."""
    parser = make_parser("dead import", IMPORT)
    parser.add_argument("file", metavar="FILE", help="what `rpcnode dead export` wrote")
    parser.add_argument("--to", metavar="QUEUE", help="a dead queue in place of those in the file")
    parser.add_argument(
        "--first-line",
        metavar="N",
        type=positive_count,
        default=1,
        help="begin with line N: the broker has those before it",
    )
    options = parser.parse_args(arguments)
    config = open_config(options)
    try:
        # What is no UTF-8 is found, and told, with the line that it is on.
        with Path(options.file).open(encoding="utf-8", errors="surrogateescape") as file:
            if not file.seekable():
                raise CommandError(f"{options.file} is no file: it has to be read twice")
            with DeadLetters(config) as dead:
                count = dead.import_from(file, to=options.to, first_line=options.first_line)
    except FileNotFoundError as exc:
        raise CommandError(f"there is no file {options.file}") from exc
    except IsADirectoryError as exc:
        raise CommandError(f"{options.file} is no file") from exc
    print(f"imported {letters(count)}")
    return 0
