"""A desk that answers, a front that asks, and handlers of all three types."""

import json
import os
import time
from pathlib import Path

from nameko.contextdata import AuthToken, Language, UserAgent, UserId
from nameko.events import BROADCAST, SINGLETON, EventDispatcher, event_handler
from nameko.exceptions import RemoteError, deserialize_to_instance
from nameko.extensions import DependencyProvider
from nameko.rpc import RpcProxy, rpc

SIDE = os.environ["SIDE"]
SENT_CONTEXT = ("language", "user_id", "auth_token", "user_agent", "tenant")


@deserialize_to_instance
class SoldOut(Exception):
    """Known at both sides, because both have this module."""


class Unknown(Exception):
    """Registered nowhere."""


class Worker(DependencyProvider):
    """Gives a method its worker context."""

    def get_dependency(self, worker_ctx):
        return worker_ctx


def fail(kind):
    """Raise the error of a kind."""
    if kind == "known":
        raise SoldOut("pears", 3)
    if kind == "unknown":
        raise Unknown("bad", {"n": 1}, [None, 2.5])
    if kind == "built-in":
        raise KeyError("key")
    if kind == "not even text":
        raise Unknown(b"\xff", object)
    raise ValueError("grüße, \N{SNOWMAN}")


class Desk:
    name = f"desk-{SIDE}"
    language, user_id, auth_token, user_agent = Language(), UserId(), AuthToken(), UserAgent()
    worker = Worker()
    other = RpcProxy("desk-new" if SIDE == "old" else "desk-old")

    @rpc
    def echo(self, *args, **kwargs):
        return {"args": args, "kwargs": kwargs}

    @rpc
    def strict(self, one, two=2, *, three=3):
        return [one, two, three]

    @rpc
    def context(self):
        known = [self.language, self.user_id, self.auth_token, self.user_agent]
        data = {key: self.worker.data.get(key) for key in SENT_CONTEXT}
        return {"known": known, "data": data, "stack": self.worker.call_id_stack}

    @rpc(expected_exceptions=KeyError, sensitive_arguments="kind")
    def fail(self, kind):
        fail(kind)

    @rpc
    def fail_beyond(self, kind):
        self.other.fail(kind)

    @rpc
    def nap(self, seconds):
        time.sleep(seconds)  # work that takes as long as the test says

    @rpc
    def unsendable(self):
        return {"value": {1, 2}.__iter__}


def outcome(method, *args, **kwargs):
    """Return what came of a call, in a form that can be sent and compared."""
    try:
        return {"result": method(*args, **kwargs)}
    except RemoteError as exc:
        return {"error": "RemoteError", "exc_type": exc.exc_type, "value": exc.value}
    except Exception as exc:
        return {"error": type(exc).__name__, "args": [str(each) for each in exc.args]}


class Front:
    name = f"front-{SIDE}"
    old, new, nobody = RpcProxy("desk-old"), RpcProxy("desk-new"), RpcProxy("nobody")
    dispatch = EventDispatcher()

    @rpc
    def call(self, desk, method, args=(), kwargs=None):
        return outcome(getattr(getattr(self, desk), method), *args, **(kwargs or {}))

    @rpc
    def call_many(self, desk, count):
        replies = [getattr(self, desk).echo.call_async(number) for number in range(count)]
        # The last first, and one of them twice.
        results = [reply.result() for reply in reversed(replies)]
        return [*results, replies[0].result()]

    @rpc
    def fail_later(self, desk, kind):
        reply = getattr(self, desk).fail.call_async(kind)
        return [outcome(reply.result), outcome(reply.result)]

    @rpc
    def call_with_unsendable(self, desk):
        return outcome(getattr(self, desk).echo, self.dispatch)

    @rpc
    def announce(self, event_type, numbers):
        for number in numbers:
            self.dispatch(event_type, {"from": SIDE, "number": number})


def note(kind, payload, **more):
    """Append a line to the ledger, whole, whoever else writes."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(json.dumps({"kind": kind, "side": SIDE, **payload, **more}) + "\n")


class Pool:
    """One of the two instances gets each event."""

    name = "pool"
    worker = Worker()

    @event_handler("front-old", "happened")
    @event_handler("front-new", "happened")
    def handle(self, payload):
        note("pool", payload, stack=self.worker.call_id_stack, data=self.worker.data)


class Single:
    """One instance of all services gets each event."""

    name = f"single-{SIDE}"

    @event_handler("front-old", "happened_once", handler_type=SINGLETON)
    @event_handler("front-new", "happened_once", handler_type=SINGLETON)
    def handle(self, payload):
        note("single", payload)


class Everyone:
    """Every instance gets each event."""

    name = "everyone"

    @event_handler(
        "front-old", "happened_everywhere", handler_type=BROADCAST, reliable_delivery=False
    )
    @event_handler(
        "front-new", "happened_everywhere", handler_type=BROADCAST, reliable_delivery=False
    )
    def handle(self, payload):
        note("everyone", payload)
