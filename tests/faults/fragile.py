"""A service that some messages kill, for tests that count how often; see `ledger`."""

import os
import signal

from rpcnode.events import event_handler
from rpcnode.rpc import rpc
from tests.faults.ledger import note


class Fragile:
    """Notes each message before it does anything; -1 ends the process."""

    name = "fragile"

    @event_handler("caller", "happened")
    def handle(self, number):
        work("event", number)

    @rpc
    def write(self, number):
        work("call", number)


def work(kind, number):
    note(f"{kind} {number}")
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
