"""A service that writes down each thing that it did, for tests that count.

It runs in processes of its own; the file is named by the environment variable LEDGER.
"""

import os
from pathlib import Path

from rpcnode.concurrency import sleep
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.rpc import rpc


def note(text: str) -> None:
    """Append a line to the ledger, whole, whoever else writes."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(f"{text}\n")


class Ledger:
    """Notes calls and events, each with what the caller named it."""

    name = "ledger"
    dispatch = EventDispatcher()

    @rpc
    def write(self, number, seconds=0.01):
        sleep(seconds)
        note(f"call {number}")
        return number

    @rpc
    def announce(self, number):
        self.dispatch("announced", number)
        return number

    @event_handler("caller", "happened")
    def handle(self, number):
        sleep(0.005)
        note(f"event {number}")
