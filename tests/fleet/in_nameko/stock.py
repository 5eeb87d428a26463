"""A service with an instance at each side."""

import json
import os
import time
from pathlib import Path

from nameko.events import event_handler
from nameko.rpc import rpc

SIDE = os.environ["SIDE"]
PAUSE = 0.005  # seconds: so that a stop always finds work under way


def note(kind, name):
    """Append a line to the ledger, whole, whoever else writes."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(json.dumps({"kind": kind, "side": SIDE, "name": name}) + "\n")


class Stock:
    name = "stock"

    @rpc
    def reserve(self, name):
        time.sleep(PAUSE)  # stands for work
        note("call", name)
        return [SIDE, name]

    @rpc
    def wait_for(self, flag):
        """Work until a file is there; return who did."""
        note("start", flag)
        while not Path(flag).exists():
            time.sleep(PAUSE)  # until it looks again
        return SIDE

    @event_handler("buyer-old", "bought")
    @event_handler("buyer-new", "bought")
    def count(self, name):
        time.sleep(PAUSE)  # stands for work
        note("event", name)
