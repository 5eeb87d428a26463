"""What the commands for dead letters have in common."""

import argparse

from rpcnode.deadletters.conditions import NUMBERS, TEXTS, Condition, matching

WHERE = (
    f"a condition: NAME=GLOB or NAME!=GLOB for {', '.join(TEXTS)}; NAME>N, <, = for "
    f"{', '.join(NUMBERS)} (age>1h); can be repeated, all must hold"
)


def add_queue_argument(parser: argparse.ArgumentParser) -> None:
    """Add the name of one queue."""
    parser.add_argument(
        "queue", metavar="QUEUE", help="a dead queue, or the queue that it belongs to"
    )


def add_where_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that picks letters."""
    parser.add_argument("--where", metavar="CONDITION", action="append", default=[], help=WHERE)


def add_choice_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which letters of a queue are meant."""
    add_queue_argument(parser)
    add_where_option(parser)
    parser.add_argument(
        "--limit", metavar="N", type=positive_count, help="at most N, the oldest first"
    )


def choice_of(options: argparse.Namespace) -> Condition | None:
    """Return the function that picks letters, None for all; CommandError for a bad condition."""
    return matching(*options.where) if options.where else None


def whole_number(text: str) -> int:
    """Return the whole number that an option was given."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number, not {text!r}")
    return int(text)


def positive_count(text: str) -> int:
    """Return the whole number above 0 that an option was given."""
    number = whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected a whole number above 0, not '0'")
    return number


def letters(count: int, queue: str | None = None) -> str:
    """Return words for so many letters, of a queue where it is named."""
    text = "1 letter" if count == 1 else f"{count} letters"
    return text if queue is None else f"{text} of {queue!r}"
