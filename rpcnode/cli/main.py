"""The entry of `rpcnode`: finds the command, patches if it needs that, and gives the exit code.

Nothing heavy is imported before a command runs: `rpcnode --help` is to answer at once, and
kombu must not be loaded before the standard library is patched. Hence the imports inside
functions, here and nowhere else.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from rpcnode import __version__
from rpcnode.exceptions import BrokerRefused, CommandError, ConfigurationError

CANNOT_WORK = 2
REFUSED = 3
INTERRUPTED = 130  # what shells say of a program that Ctrl-C ended

HELP = """\
usage: rpcnode COMMAND [options]

{commands}

  rpcnode COMMAND --help    what a command can do
  rpcnode --version

exit codes: 0 done, 1 failed while running, 2 cannot work as asked, 3 the broker refuses us"""


@dataclass(frozen=True)
class Command:
    """Where a command is, what it does, and whether it wants a cooperative standard library."""

    module: str
    summary: str
    is_patched: bool = True


COMMANDS = {
    "run": Command("rpcnode.cli.run", "host services"),
    "call": Command("rpcnode.cli.call", "call a method of a service"),
    "shell": Command("rpcnode.cli.shell", "call services from a Python prompt"),
    "dead": Command("rpcnode.cli.dead", "look at dead letters, replay them, keep them"),
    "retry": Command("rpcnode.cli.retry", "look at what waits for another attempt"),
    "show-config": Command("rpcnode.cli.show_config", "show the configuration", is_patched=False),
    "migrate": Command("rpcnode.cli.migrate", "move code from Nameko", is_patched=False),
    "test": Command("rpcnode.cli.test", "run pytest with a cooperative standard library"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or [""]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-v", "-V", "--version"):
        print(f"rpcnode {__version__}")
        return 0
    try:
        return _run(name, rest)
    except BrokerRefused as exc:
        return _fail(exc, REFUSED)
    except ConfigurationError as exc:
        return _fail(exc, CANNOT_WORK)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(name: str, rest: list[str]) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise CommandError(_unknown(name))
    if command.is_patched:
        from rpcnode.concurrency import monkey_patch  # noqa: PLC0415 (only where it is needed)

        monkey_patch()
    code: int = import_module(command.module).main(rest)
    return code


def _unknown(name: str) -> str:
    from rpcnode.cli.hints import did_you_mean  # noqa: PLC0415 (only where it is needed)

    if not name:
        return f"which command?\n\n{_help()}"
    return f"there is no command {name!r}{did_you_mean(name, COMMANDS)} (see rpcnode --help)"


def _help() -> str:
    lines = [f"  {name:<12} {command.summary}" for name, command in COMMANDS.items()]
    return HELP.format(commands="\n".join(lines))


def _fail(error: Exception, code: int) -> int:
    from rpcnode.cli.output import printable  # noqa: PLC0415 (only where it is needed)

    print(f"Error: {printable(str(error))}", file=sys.stderr)
    return code
