"""How commands that talk to a broker end when something goes wrong."""

import os
import sys
from collections.abc import Callable

from rpcnode.cli.output import one_line
from rpcnode.exceptions import BrokerError, BrokerRefused

FAILED = 1


def exit_code_of(command: Callable[[], int]) -> int:
    """Run a command; return its exit code, 1 for what the broker or a file does not let it do.

    What `rpcnode` itself tells of goes on: BrokerRefused, and errors of what was written.
    """
    try:
        return command()
    except BrokerRefused:
        raise
    except BrokenPipeError:  # whoever was to read the output has seen enough
        # Else Python complains when it writes what is left, at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (BrokerError, OSError) as exc:
        print(f"Error: {one_line(exc)}", file=sys.stderr)
        return FAILED
