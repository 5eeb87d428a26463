"""A service with an entrypoint of every kind, each of which writes down what it did.

It runs in processes of its own; the ledger's file is named by the environment variable LEDGER.
"""

import os
from itertools import count

from kombu import Queue

from rpcnode.concurrency import sleep
from rpcnode.events import BROADCAST, SINGLETON, event_handler
from rpcnode.http import http
from rpcnode.lifecycle import on_start
from rpcnode.messaging import consume
from rpcnode.rpc import rpc
from rpcnode.timer import timer
from tests.faults.ledger import note

PARCELS = Queue("parcels", durable=True)


def work(kind: str, number: int) -> int:
    """Take a while, and note the beginning and the end."""
    note(f"{kind}-began {number}")
    sleep(0.02)
    note(f"{kind} {number}")
    return number


class Everything:
    """Does some work for each number that it is given, whichever way it comes."""

    name = "everything"
    ticks = count(os.getpid() * 1_000_000)

    @on_start
    def begin(self):
        note("start 1")

    @rpc
    def call(self, number):
        return work("call", number)

    @rpc(max_workers=2, queue_limit=20)
    def call_in_a_lane(self, number):
        return work("lane", number)

    @event_handler("caller", "pool")
    def pool(self, number):
        work("pool", number)

    @event_handler("caller", "single", handler_type=SINGLETON, max_workers=3)
    def single(self, number):
        work("single", number)

    @event_handler("caller", "all", handler_type=BROADCAST)
    def broadcast(self, number):
        work("broadcast", number)

    @consume(PARCELS)
    def parcel(self, number):
        work("parcel", number)

    @http("POST", "/<int:number>")
    def post(self, request, number):
        return 200, {"number": work("http", number)}

    @timer(0.1)
    def tick(self):
        work("tick", next(self.ticks))
