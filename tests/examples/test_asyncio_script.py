"""Calls and events from a program that runs on asyncio."""

import os
import subprocess
import sys
from pathlib import Path

from examples.rpc import Billing
from rpcnode.events import event_handler
from tests.hosting import hosted, wait_until

ROOT = Path(__file__).parent.parent.parent


def test_program_calls_gives_up_and_dispatches(vhost_uri):
    class Packing:
        name = "packing"
        orders: list = []

        @event_handler("orders", "placed")
        def pack(self, order):
            self.orders.append(order["id"])

    program = [sys.executable, str(ROOT / "examples" / "asyncio_script.py"), vhost_uri]
    with hosted({"AMQP_URI": vhost_uri}, Billing, Packing):
        done = subprocess.run(
            program,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        )
        wait_until(lambda: sorted(Packing.orders) == [1, 2])

    assert done.stdout.splitlines() == ["6", "[1, 5]", "4", "given up"]
    assert done.stderr == ""
