"""A service that calls the stock without a pause, and dispatches events."""

import os
from pathlib import Path

from nameko.events import EventDispatcher
from nameko.rpc import RpcProxy, rpc

SIDE = os.environ["SIDE"]


class Buyer:
    name = f"buyer-{SIDE}"
    stock = RpcProxy("stock")
    dispatch = EventDispatcher()

    @rpc
    def buy(self, prefix, count):
        """Call the stock `count` times; return who answered, and what went wrong."""
        answered, failed = {"old": 0, "new": 0}, []
        for number in range(count):
            self._buy(f"{prefix}-{number}", answered, failed)
        return {"answered": answered, "failed": failed}

    @rpc
    def buy_until(self, prefix, flag):
        """Call the stock and dispatch events until a file is there; return what came of it."""
        answered, failed, dispatched = {"old": 0, "new": 0}, [], []
        while not Path(flag).exists():
            name = f"{prefix}-{len(dispatched)}"
            self._buy(name, answered, failed)
            self.dispatch("bought", name)
            dispatched.append(name)
        return {"answered": answered, "failed": failed, "dispatched": dispatched}

    def _buy(self, name, answered, failed):
        try:
            side, returned = self.stock.reserve(name)
        except Exception as exc:
            failed.append(f"{name}: {exc!r}")
            return
        answered[side] += 1
        if returned != name:
            failed.append(f"{name}: got the answer for {returned}")
