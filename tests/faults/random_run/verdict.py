"""What is wrong with a history: everything that rpcnode promises not to happen."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.faults.random_run.history import (
    CONFIRMED,
    FORGETTING,
    HANDLERS,
    RIGHT,
    Call,
    Event,
    History,
    Sending,
)
from tests.faults.random_run.stage import REPLY_QUEUES, SHOP_QUEUE

GRACE = 1.0  # seconds that a call may take longer than its timeout
CLOCK_SKEW = 2.0  # the default of the configuration: seconds that a method may begin late
NOTHING_SENT = ("BrokerUnavailable", "UnknownService")
SENDING_FAILURES = ("BrokerUnavailable", "ConnectionLost", "PublishTimeout")
UNCONFIRMED = tuple(f"RemoteError {failure}" for failure in SENDING_FAILURES)
# The growth from the rest after the warm-up to that at the end which is no leak: caches, the
# arenas of the allocator, messages that are remembered for a minute in case that they come again.
MORE_OBJECTS = 1.05
MORE_MEMORY = 16_000_000  # bytes


def judge(history: History, dead: Counter[str]) -> list[str]:
    """Return what is wrong, a sentence each; `dead` counts the events of the dead queue."""
    return [
        *(wrong for call in history.calls.values() for wrong in _of_call(call, history)),
        *(wrong for event in history.events.values() for wrong in _of_event(event, history, dead)),
    ]


def _of_call(call: Call, history: History) -> Iterator[str]:
    label = f"call {call.name} of {call.method}"
    # Its caller can have sent it twice only when it changed its connection. Otherwise it was the
    # broker that did not mark a redelivery (seen once among a thousand); `totals` counts these.
    if call.unmarked > 1 and len(call.connections) > 1:
        yield f"{label} was run {call.unmarked} times without being marked as redelivered"
    for at, _redelivered in call.runs:
        if at - call.begun > call.timeout + CLOCK_SKEW + GRACE:
            yield f"{label} was run {at - call.begun:.1f} s after its begin, timeout {call.timeout}"
    if call.ended is None:
        if call.author not in history.gone:
            yield f"{label} has never ended"
        return
    if (late := history.seconds_late(call.author, call)) > GRACE:
        yield f"{label} ended {late:.2f} s after its timeout of {call.timeout} s"
    if not _is_allowed(call, history):
        yield f"{label} ended as {call.outcome}: {call.detail}"
    if call.outcome == RIGHT and not call.runs:
        yield f"{label} was answered and never run"
    if history.settled is not None and call.begun > history.settled and call.outcome != RIGHT:
        yield f"{label} failed after everything had settled: {call.outcome} {call.detail}"
    yield from _of_order(label, call, history)


def _of_order(label: str, call: Call, history: History) -> Iterator[str]:
    """Yield what is wrong with the event that a method dispatched `after_success`."""
    if call.method == "cancel" and call.told:
        yield f"{label} failed, and its event was heard {len(call.told)} times"
    if call.method == "order" and call.outcome == RIGHT and history.is_unheard(call):
        yield f"{label} returned, and its event was lost"
    # Each run of the method dispatches one, and the broker may give one out again, marked.
    if call.told.count(False) > len(call.runs):
        yield f"{label} was run {len(call.runs)} times, its event heard {len(call.told)} times"


def _is_allowed(call: Call, history: History) -> bool:
    if call.outcome in (RIGHT, "RpcTimeout"):
        return True
    if call.method == "order" and call.outcome in UNCONFIRMED:
        return True  # its event was not confirmed, and that is the error of the method
    seen = [one for one in history.deletions if one.overlaps(call.begun, call.ended)]
    if call.outcome == "UnknownService":
        return any(one.what.startswith("rpc-") for one in seen)
    lost_replies = [one.author for one in seen if one.what.startswith(REPLY_QUEUES)]
    if call.outcome == "ConnectionLost":
        return call.author in lost_replies
    # What the shop's own call came to.
    is_of_shop = any(author.startswith("shop") for author in lost_replies)
    return call.method == "relay" and call.outcome == "RemoteError ConnectionLost" and is_of_shop


def _of_event(event: Event, history: History, dead: Counter[str]) -> Iterator[str]:
    label = f"event {event.name} ({event.kind})"
    if not event.sendings:
        yield f"{label} was handled and never sent"
        return
    for sending in event.sendings.values():
        yield from _of_sending(label, event, sending, history)
    # One that may have got through, although its sender was told that nobody knows.
    possible = sum(each.outcome not in NOTHING_SENT for each in event.sendings.values())
    if event.kind == "late":
        # A broker that is killed may not know any more that it has passed a message on, and does
        # so again: as a new one.
        first = event.first or 0.0
        possible += sum(
            each.what == "broker_killed" and first - GRACE <= each.begun <= first + FORGETTING
            for each in history.faults
        )
    for handler, flags in event.begun.items():
        if flags.count(False) > possible or (flags and not possible):
            yield (
                f"{label} was begun by {handler} {len(flags)} times, {flags.count(False)} times "
                f"not marked as something again; {possible} of {len(event.sendings)} sendings can "
                "have got through"
            )
    if event.confirmed is not None:
        for handler in history.lost_by(event):
            yield f"{label} was confirmed and lost: {handler} has not handled it"
        (failing,) = HANDLERS["failing"]
        is_accounted_for = dead[event.name] or event.revived or history.is_excused(event, failing)
        if event.done[failing] and not is_accounted_for:
            yield f"{label} was confirmed and lost: it failed, and is not in the dead queue"
    sent = min(each.begun for each in event.sendings.values())
    if event.first is not None and event.first < sent + event.delay:
        yield f"{label} was handled {sent + event.delay - event.first:.3f} s before it was due"


def _of_sending(label: str, event: Event, sending: Sending, history: History) -> Iterator[str]:
    if sending.ended is None:
        if event.author not in history.gone:
            yield f"sending {label} has never ended"
        return
    if (late := history.seconds_late(event.author, sending)) > GRACE:
        yield f"sending {label} ended {late:.2f} s after its timeout of {sending.timeout} s"
    if sending.outcome != CONFIRMED and not _is_allowed_failure(event, sending, history):
        yield f"sending {label} ended as {sending.outcome}: {sending.detail}"
    is_late = history.settled is not None and sending.begun > history.settled
    if is_late and sending.outcome != CONFIRMED:
        yield f"sending {label} failed after everything had settled: {sending.outcome}"


def _is_allowed_failure(event: Event, sending: Sending, history: History) -> bool:
    if event.kind != "cast":
        return sending.outcome in SENDING_FAILURES
    if sending.outcome != "UnknownService":
        return sending.outcome in ("RpcTimeout", "ConnectionLost")
    return any(
        one.what == SHOP_QUEUE and one.overlaps(sending.begun, sending.ended)
        for one in history.deletions
    )


def leaks(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield what a process has more of than at its first rest; see `desk.Desk`."""
    limits = {
        "sockets": before["sockets"],
        "files": before["files"],
        "green threads": before["green threads"],
        "objects": before["objects"] * MORE_OBJECTS,
        "resident": before["resident"] + MORE_MEMORY,
    }
    for what, limit in limits.items():
        if after[what] > limit:
            yield f"{after[what]} {what}, {before[what]} after the warm-up"
    for what, count in after["busy"].items():
        if count:
            yield f"{count} {what} are open at rest"
