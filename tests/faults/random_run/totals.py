"""The figures of a run: what happened under each kind of fault, and how fast it was over."""

from collections import Counter
from typing import Any

from tests.faults.random_run.history import CONFIRMED, RIGHT, Call, History, Sending, Span


def totals(history: History) -> dict[str, Any]:
    """Return the figures: in all, and by kind of fault."""
    kinds = dict.fromkeys(each.what for each in history.faults)
    return {
        "faults": len(history.faults),
        "calls": dict(Counter(each.outcome or "no end" for each in history.calls.values())),
        "sendings": dict(
            Counter(
                sending.outcome or "no end"
                for event in history.events.values()
                for sending in event.sendings.values()
            )
        ),
        "runs of calls": sum(len(each.runs) for each in history.calls.values()),
        "runs of calls that were redelivered": sum(
            redelivered for each in history.calls.values() for _at, redelivered in each.runs
        ),
        "calls with several runs that were not marked": sum(
            each.unmarked > 1 for each in history.calls.values()
        ),
        "handlings": sum(
            len(flags) for event in history.events.values() for flags in event.begun.values()
        ),
        "handlings that were something again": sum(
            sum(flags) for event in history.events.values() for flags in event.begun.values()
        ),
        "dead letters that were replayed": sum(each.revived for each in history.events.values()),
        "orders that were told": sum(len(each.told) for each in history.calls.values()),
        "events by kind": dict(Counter(each.kind for each in history.events.values())),
        "events excused by deleted queues": _excused(history),
        "slowest call over its timeout": _slowest(history),
        "by fault": {kind: _of_kind(history, kind) for kind in sorted(kinds)},
    }


def _excused(history: History) -> int:
    return sum(
        history.is_excused(event, handler)
        for event in history.events.values()
        if event.confirmed is not None
        for handler in event.lacking()
    )


def _slowest(history: History) -> float:
    """Return by how many seconds a call took longer than its timeout, at most."""
    late = (history.seconds_late(each.author, each) for each in history.calls.values())
    return round(max(late, default=0.0), 3)


def _of_kind(history: History, kind: str) -> dict[str, Any]:
    faults = [each for each in history.faults if each.what == kind]
    calls = Counter(
        call.outcome or "no end"
        for call in history.calls.values()
        if any(fault.overlaps(*_time_of(call)) for fault in faults)
    )
    sendings = Counter(
        sending.outcome or "no end"
        for event in history.events.values()
        for sending in event.sendings.values()
        if any(fault.overlaps(*_time_of(sending)) for fault in faults)
    )
    recoveries = [seconds for fault in faults if (seconds := _recovery(history, fault)) is not None]
    return {
        "times": len(faults),
        "calls": dict(calls),
        "sendings": dict(sendings),
        "slowest recovery": max(recoveries, default=None),
    }


def _time_of(attempt: Call | Sending) -> tuple[float, float]:
    """Return when it began and ended; one whose process was killed, when it would have."""
    return attempt.begun, attempt.ended or attempt.begun + attempt.timeout


def _recovery(history: History, fault: Span) -> float | None:
    """Return the seconds until each client had a call returned that was made after the fault.

    None when the next fault came before that.
    """
    end = fault.ended or fault.begun
    first: dict[str, float] = {}
    for call in history.calls_since(end):
        if call.outcome == RIGHT and call.ended is not None:
            client = call.author.partition(".")[0]
            first[client] = min(first.get(client, call.ended), call.ended)
    recovered = max(first.values(), default=end)
    if any(fault.begun < each.begun < recovered for each in history.faults):
        return None
    return round(recovered - end, 2)


def report(figures: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = [
        f"{name}: {_counts(value) if isinstance(value, dict) else value}"
        for name, value in figures.items()
        if name != "by fault"
    ]
    head = ("fault", "times", "calls: right", "other", "events: sent", "other", "recovery s")
    rows = [head, *(_row(kind, each) for kind, each in figures["by fault"].items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *table])


def _row(kind: str, figures: dict[str, Any]) -> tuple[str, ...]:
    calls, sendings = dict(figures["calls"]), dict(figures["sendings"])
    return (
        kind,
        str(figures["times"]),
        str(calls.pop(RIGHT, 0)),
        _counts(calls),
        str(sendings.pop(CONFIRMED, 0)),
        _counts(sendings),
        str(figures["slowest recovery"] or "-"),
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "-"
