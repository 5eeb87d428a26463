"""A service whose events die at first, and are handled once somebody has replayed them.

It runs in processes of its own; the file is named by the environment variable LEDGER.
"""

from rpcnode.concurrency import sleep
from rpcnode.events import event_handler
from rpcnode.extensions import DependencyProvider
from tests.faults.ledger import note


class Message(DependencyProvider):
    """Injects the message that a worker has."""

    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Handler:
    name = "handler"
    message = Message()

    @event_handler("caller", "happened")
    def handle(self, number):
        replayed = self.message.headers.get("rpcnode-replayed", 0)
        if not replayed:
            raise ValueError("dead at first")
        sleep(0.005)  # so that a kill meets some that are at work
        note(f"{number} {replayed} {int(self.message.redelivered)}")
