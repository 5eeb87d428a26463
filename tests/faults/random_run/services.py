"""The services of the run: a shop and an audit that are called, and clients that call."""

import random
from collections.abc import Callable
from typing import Any
from zlib import crc32

from rpcnode.concurrency import sleep
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import Reject, RemoteError
from rpcnode.retry import Fixed, Retry, RetryInfo
from rpcnode.rpc import ClusterRpc, RpcProxy, rpc
from tests.faults.random_run.desk import Notes, constantly

CALLERS = 6  # green threads of a client
DISPATCHERS = 3
ATTEMPTS = 5
LARGEST = 400_000  # bytes
TEXT = "0123456789" * (LARGEST // 10)


FLAKY = Retry(6, delay=[0.2, 0.6, 1.5])
# How often there is which kind of call and of event, out of a hundred.
CALLS = {"small": 50, "large": 3, "slow": 10, "failing": 8, "relayed": 15, "order": 10, "cancel": 4}
KINDS = {"happened": 50, "failing": 15, "flaky": 15, "late": 10, "cast": 10}
DELAYS = (0.5, 1.0, 2.5)  # seconds


class Refused(Exception):
    """Raised when a call or an event is one that fails."""


class Shop:
    """Answers calls and handles events of all kinds."""

    name = "shop"
    note = Notes()
    audit = RpcProxy("audit")
    tell = EventDispatcher(after_success=True)
    attempt = RetryInfo()

    @rpc
    def echo(self, call, payload):
        self.note("run", call=call)
        return [call, payload]

    @rpc
    def wait(self, call, seconds):
        self.note("run", call=call)
        sleep(seconds)
        return call

    @rpc
    def refuse(self, call):
        self.note("run", call=call)
        raise Refused(call)

    @rpc
    def relay(self, call):
        self.note("run", call=call)
        return self.audit.confirm(call)

    @rpc
    def order(self, call):
        self.note("run", call=call)
        self.tell("ordered", call)
        return call

    @rpc
    def cancel(self, call):
        self.note("run", call=call)
        self.tell("ordered", call)
        raise Refused(call)

    @rpc
    def keep(self, event):
        self.note("handling", event=event, handler="shop.keep")
        self.note("handled", event=event, handler="shop.keep")

    @event_handler("client", "happened")
    def handle(self, event):
        self.note("handling", event=event, handler="shop.handle")
        sleep(0.01)
        self.note("handled", event=event, handler="shop.handle")

    @event_handler("client", "late")
    def receive(self, event):
        self.note("handling", event=event, handler="shop.receive")
        self.note("handled", event=event, handler="shop.receive")

    @event_handler("client", "flaky", retry=FLAKY)
    def try_hard(self, event):
        self.note("handling", event=event, handler="shop.try_hard")
        if self.attempt.attempt <= crc32(event.encode()) % 4:
            raise Refused(event)
        self.note("handled", event=event, handler="shop.try_hard")

    @event_handler("client", "failing", retry=Retry(2, delay=Fixed(0.4)))
    def fail(self, event):
        """Fail, unless it is the second life of an event: that of a replayed dead letter."""
        facts = self.note("handling", event=event, handler="shop.fail")
        is_rejected = crc32(event.encode()) % 3 == 0
        if facts["replayed"] or is_rejected or self.attempt.is_last:
            self.note("handled", event=event, handler="shop.fail")
        if facts["replayed"]:
            return
        raise Reject(event) if is_rejected else Refused(event)


class Audit:
    """Is called by the shop, and handles the same events."""

    name = "audit"
    note = Notes()

    @rpc
    def confirm(self, call):
        sleep(0.01)
        return call

    @event_handler("client", "happened")
    def handle(self, event):
        self.note("handling", event=event, handler="audit.handle")
        self.note("handled", event=event, handler="audit.handle")

    @event_handler("shop", "ordered")
    def hear(self, call):
        self.note("told", call=call)


class Client:
    """Calls and dispatches, and notes what comes of it."""

    name = "client"
    note = Notes()
    cluster = ClusterRpc()
    dispatch = EventDispatcher()

    @constantly(threads=CALLERS)
    def call(self, turn, dice):
        method, arguments, expected = _choose_call(dice, turn)
        timeout = round(dice.uniform(2, 8), 2)
        self.note("called", call=turn, method=method, timeout=timeout)
        call = self.cluster.shop[method].with_options(timeout=timeout)
        if dice.random() < 0.2:
            outcome, detail = _outcome_of(lambda: call.call_async(*arguments).result(), expected)
        else:
            outcome, detail = _outcome_of(lambda: call(*arguments), expected)
        self.note("ended", call=turn, outcome=outcome, detail=detail)
        sleep(dice.uniform(0.05, 0.25))

    @constantly(threads=DISPATCHERS)
    def announce(self, turn, dice):
        kind = dice.choices(tuple(KINDS), tuple(KINDS.values()))[0]
        delay = dice.choice(DELAYS) if kind == "late" else 0
        for attempt in range(ATTEMPTS):
            timeout = round(dice.uniform(2, 8), 2)
            facts = {"kind": kind, "attempt": attempt, "timeout": timeout, "delay": delay}
            self.note("sent", event=turn, **facts)
            outcome, detail = self._send(kind, turn, timeout, delay)
            self.note("sending ended", event=turn, attempt=attempt, outcome=outcome, detail=detail)
            if outcome == "confirmed":
                break
            sleep(dice.uniform(0.05, 0.25))
        sleep(dice.uniform(0.05, 0.25))

    def _send(self, kind, event, timeout, delay):
        try:
            if kind == "cast":
                self.cluster.shop.keep.with_options(timeout=timeout).cast(event)
            else:
                self.dispatch(kind, event, timeout=timeout, delay=delay)
        except Exception as exc:
            return type(exc).__name__, str(exc)[:500]
        return "confirmed", ""


def _outcome_of(call: Callable[[], Any], expected: Any) -> tuple[str, str]:
    """Return what came of a call, in a word, and what it said."""
    try:
        answer = call()
    except RemoteError as exc:
        is_right = (exc.exc_type, exc.value) == expected
        return "right" if is_right else f"RemoteError {exc.exc_type}", str(exc)[:500]
    except Exception as exc:
        return type(exc).__name__, str(exc)[:500]
    return ("right", "") if answer == expected else ("wrong", repr(answer)[:500])


def _choose_call(dice: random.Random, call: str) -> tuple[str, list[Any], Any]:
    """Return method, arguments and the right answer of a call."""
    kind = dice.choices(tuple(CALLS), tuple(CALLS.values()))[0]
    if kind in ("order", "cancel"):
        return kind, [call], call if kind == "order" else ("Refused", call)
    if kind == "slow":
        return "wait", [call, round(dice.uniform(0.2, 1.5), 2)], call
    if kind == "failing":
        return "refuse", [call], ("Refused", call)
    if kind == "relayed":
        return "relay", [call], call
    payload = TEXT[: dice.randrange(LARGEST if kind == "large" else 100)]
    return "echo", [call, payload], [call, payload]
