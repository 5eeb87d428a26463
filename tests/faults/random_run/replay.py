"""Sends what is in a dead queue back to work: `python -m ...random_run.replay URI QUEUE`."""

import sys

from rpcnode.dead import DeadLetters
from rpcnode.exceptions import QueueNotFound

if __name__ == "__main__":
    _program, uri, queue = sys.argv
    with DeadLetters({"AMQP_URI": uri}) as letters:
        try:
            result = letters.replay(queue)
        except QueueNotFound:  # nothing has died yet
            sys.exit(0)
    sys.exit(1 if result.failures else 0)
