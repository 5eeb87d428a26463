"""`rpcnode migrate`: what a code base uses of Nameko, and what becomes of it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rpcnode.cli.failing import exit_code_of
from rpcnode.cli.output import printable
from rpcnode.exceptions import CommandError
from rpcnode.migration.moving import Result, look
from rpcnode.migration.report import as_json, as_text, differences
from rpcnode.migration.tree import Skipped
from rpcnode.migration.writing import without_way_back, write

DESCRIPTION = """\
Show what code, configuration and the files around them use of Nameko: the words that have to be
replaced, as a diff, the places that mean something else in rpcnode, and what is not there. The
code is read, never imported. Nothing is changed without --write. A place that somebody has looked
at is not told again when its line has the comment "# rpcnode: checked"."""

EPILOG = "exit codes: 0 nothing left to do, 1 something is left, 2 cannot work as asked"


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _migrate(options))


def _migrate(options: argparse.Namespace) -> int:
    roots = [Path(each) for each in options.path]
    for root in roots:
        _insist_on_something_to_read(root)
    result = look(roots, options.exclude)
    if options.write and not options.force:
        _insist_on_a_way_back(result)
    is_text = options.format == "text"
    if is_text and result.moves:
        _show(differences(result))  # before anything is written
    written, failed = _write(result) if options.write else ([], [])
    tell = as_text if is_text else as_json
    _show(tell(result, written, failed))
    is_left = result.needs_somebody() or len(written) < len(result.moves)
    return 1 if is_left else 0


def _show(text: str) -> None:
    encoding = sys.stdout.encoding or "ascii"  # code may have letters that a terminal has not
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rpcnode migrate", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("path", nargs="+", metavar="PATH", help="a folder or a file")
    parser.add_argument("--write", action="store_true", help="replace the words in the files")
    parser.add_argument(
        "--force", action="store_true", help="write files that Git could not bring back, too"
    )
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out files and folders of this name or path (can be repeated)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _insist_on_something_to_read(root: Path) -> None:
    if not root.exists():
        raise CommandError(f"there is no {root}")
    if not (root.is_dir() or root.is_file()):
        raise CommandError(f"{root} is neither a folder nor a file")


def _insist_on_a_way_back(result: Result) -> None:
    lost = without_way_back(move.path for move in result.moves)
    if lost:
        names = "".join(f"\n  {path}" for path in lost)
        raise CommandError(
            "nothing was written: these files have changes that are in no commit, so that there "
            f"would be no way back. Commit them, or use --force:{names}"
        )


def _write(result: Result) -> tuple[list[Path], list[Skipped]]:
    outcomes = [(move.path, write(move)) for move in result.moves]
    written = [path for path, problem in outcomes if problem is None]
    return written, [Skipped(path, problem) for path, problem in outcomes if problem is not None]
