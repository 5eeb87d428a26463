"""Commands that have commands of their own: `rpcnode dead`, `rpcnode retry`."""

from collections.abc import Callable, Mapping, Sequence

from rpcnode.cli.failing import exit_code_of
from rpcnode.cli.hints import did_you_mean
from rpcnode.exceptions import CommandError

Command = Callable[[Sequence[str]], int]


def run_subcommand(
    name: str, commands: Mapping[str, Command], text: str, arguments: Sequence[str]
) -> int:
    """Run the command of `rpcnode name` that `arguments` begin with; return its exit code.

    Without one, or when they ask for help, print `text`. CommandError for one that is not there.
    """
    wanted, *rest = arguments or [""]
    if wanted in ("", "-h", "--help", "help"):
        print(text)
        return 0 if wanted else 2
    if wanted not in commands:
        hint = did_you_mean(wanted, commands)
        raise CommandError(
            f"there is no command '{name} {wanted}'{hint} (see rpcnode {name} --help)"
        )
    return exit_code_of(lambda: commands[wanted](rest))
