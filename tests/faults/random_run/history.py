"""What the ledger says: every call, every event, every fault, and what queues were deleted."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from tests.faults.random_run.stage import HANDLER_QUEUES

FORGETTING = 5.0  # seconds in which a broker that is killed can forget what was declared
ATTACHING = 5.0  # seconds until the consumers are there after a broker has started
CONFIRMED = "confirmed"
RIGHT = "right"
# Who has to handle an event. `shop.fail` has when it failed for the last time: then the event is
# in its dead queue, until that is replayed.
HANDLERS = {
    "happened": ("shop.handle", "audit.handle"),
    "failing": ("shop.fail",),
    "flaky": ("shop.try_hard",),
    "late": ("shop.receive",),
    "cast": ("shop.keep",),
}


@dataclass
class Call:
    """A call: what came of it, and how often it was run (with the redelivered flag).

    `connections` are the numbers of those that its process published on meanwhile; `told` says,
    for each time that the event of an order was heard, whether it came as something again.
    """

    name: str
    author: str = ""
    method: str = ""
    timeout: float = 0
    begun: float = 0
    ended: float | None = None
    starved: float = 0
    outcome: str = ""
    detail: str = ""
    runs: list[tuple[float, bool]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    told: list[bool] = field(default_factory=list)

    @property
    def unmarked(self) -> int:
        """How many runs were not marked as redelivered."""
        return [redelivered for _at, redelivered in self.runs].count(False)


@dataclass
class Sending:
    """One attempt to get an event to the broker."""

    begun: float
    timeout: float
    ended: float | None = None
    starved: float = 0
    outcome: str = ""
    detail: str = ""


@dataclass
class Event:
    """An event (or a cast), the attempts to send it, and what its handlers did.

    `begun` says of each worker that began with it whether it came as something again:
    redelivered, held for another attempt, or replayed; `done` counts those that came to the end,
    each by the name of the handler. `revived` counts the workers of what was replayed. `first` is
    when the first one began, `delay` the seconds that it was to wait.
    """

    name: str
    author: str = ""
    kind: str = ""
    sendings: dict[int, Sending] = field(default_factory=dict)
    begun: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    done: Counter[str] = field(default_factory=Counter)
    delay: float = 0
    first: float | None = None
    revived: int = 0

    @property
    def confirmed(self) -> float | None:
        """When the broker had it; None when it never said so."""
        ends = [each.ended for each in self.sendings.values() if each.outcome == CONFIRMED]
        return ends[0] if ends else None

    def lacking(self) -> list[str]:
        """Return the handlers that have not handled it."""
        return [one for one in HANDLERS.get(self.kind, ()) if one not in self.done]


@dataclass
class Span:
    """A fault, the time without a queue, or the time in which a process was hogged.

    Everything that was confirmed before `since` was handled when it began.
    """

    what: str
    begun: float
    ended: float | None = None
    detail: str = ""
    since: float = 0
    author: str = ""

    def overlaps(self, begun: float, ended: float | None) -> bool:
        """Return whether something that took that time saw this."""
        is_before_the_end = self.ended is None or begun <= self.ended
        return is_before_the_end and (ended is None or ended >= self.begun)


class History:
    """Puts the records of all processes together."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.events: dict[str, Event] = {}
        self.faults: list[Span] = []
        self.deletions: list[Span] = []
        self.hogs: list[Span] = []
        self.gone: dict[str, str] = {}
        self.done: set[tuple[str, str]] = set()  # which process has begun to do what
        self.settled: float | None = None
        self._even = 0.0
        self._open: dict[str, Event] = {}  # the events that may be uneven
        self._orders: dict[str, Call] = {}  # those that returned, and may not have been heard of

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Take records, in any order."""
        for record in sorted(records, key=itemgetter("at")):
            getattr(self, f"_{record['what'].replace(' ', '_')}")(record)

    def uneven(self, before: float) -> list[Event | Call]:
        """Return the events that were confirmed before that time, not handled, and not excused.

        And the calls that returned before, and whose event was not heard.
        """
        for call in [each for each in self._orders.values() if not self.is_unheard(each)]:
            del self._orders[call.name]
        uneven: list[Event | Call] = [
            each for each in self._orders.values() if (each.ended or before) < before
        ]
        for event in list(self._open.values()):
            if (at := event.confirmed) is None:
                continue
            if not self.lost_by(event):
                del self._open[event.name]
            elif at < before:
                uneven.append(event)
        return uneven

    def lost_by(self, event: Event) -> list[str]:
        """Return the handlers that have not handled an event, and have no excuse."""
        return [one for one in event.lacking() if not self.is_excused(event, one)]

    def is_unheard(self, order: Call) -> bool:
        """Return whether nobody has heard of an order that returned, without an excuse."""
        queue = HANDLER_QUEUES["audit.hear"]
        return not order.told and not self._is_excused(queue, order.begun, order.ended)

    def calls_since(self, begun: float) -> Iterator[Call]:
        """Yield the calls that began since then."""
        return (each for each in self.calls.values() if each.begun >= begun)

    def is_excused(self, event: Event, handler: str) -> bool:
        """Return whether the event may have been in a queue that was deleted, or had nowhere to go.

        That is so for those confirmed since everything before was handled, and sent before the
        queue was there again.
        """
        sent = min(each.begun for each in event.sendings.values())
        return self._is_excused(HANDLER_QUEUES[handler], sent, event.confirmed)

    def _is_excused(self, queue: str, sent: float, confirmed: float | None) -> bool:
        return any(
            each.what == queue
            and confirmed is not None
            and confirmed >= each.since
            and sent <= self._back_for_good(each)
            for each in self.deletions
        )

    def _back_for_good(self, deletion: Span) -> float:
        """Return when a queue that was deleted was there again, with its bindings.

        A broker that is killed soon after can have forgotten these: RabbitMQ 3.10 did once in
        eight trials, 0.6 s after the queue was declared. Then it takes until the consumers are
        attached, which declare it again.
        """
        if deletion.ended is None:
            return math.inf
        killed = [
            each
            for each in self.faults
            if each.what == "broker_killed"
            and deletion.ended <= each.begun <= deletion.ended + FORGETTING
        ]
        ends = [math.inf if each.ended is None else each.ended + ATTACHING for each in killed]
        return max(ends, default=deletion.ended)

    def seconds_late(self, author: str, attempt: Call | Sending) -> float:
        """Return how long after its timeout a call or a sending has ended; negative if before.

        What was not its process's fault does not count: the seconds in which other processes had
        the processors, or a handler kept the one of its own.
        """
        if attempt.ended is None:
            return 0.0
        seconds = attempt.ended - attempt.begun - attempt.timeout
        hogged = self._seconds_hogged(author, attempt.begun, attempt.ended)
        return seconds - hogged - attempt.starved

    def _seconds_hogged(self, author: str, begun: float, ended: float) -> float:
        return sum(
            max(0.0, min(ended, each.ended or ended) - max(begun, each.begun))
            for each in self.hogs
            if each.author == author
        )

    def _call(self, record: dict[str, Any]) -> Call:
        name = record["call"]
        return self.calls.setdefault(name, Call(name))

    def _event(self, record: dict[str, Any]) -> Event:
        name = record["event"]
        if name not in self.events:
            self.events[name] = self._open[name] = Event(name)
        return self.events[name]

    def _called(self, record: dict[str, Any]) -> None:
        call = self._call(record)
        call.author, call.begun = record["process"], record["at"]
        call.method, call.timeout = record["method"], record["timeout"]
        call.starved -= record["starved"]
        call.connections.add(record["connection"])

    def _ended(self, record: dict[str, Any]) -> None:
        call = self._call(record)
        call.ended, call.outcome, call.detail = record["at"], record["outcome"], record["detail"]
        call.starved += record["starved"]
        call.connections.add(record["connection"])
        if call.method == "order" and call.outcome == RIGHT:
            self._orders[call.name] = call

    def _told(self, record: dict[str, Any]) -> None:
        call = self._call(record)
        call.told.append(_is_again(record))

    def _run(self, record: dict[str, Any]) -> None:
        call = self._call(record)
        call.runs.append((record["at"], record["redelivered"]))
        self.done.add((record["process"], call.method))

    def _sent(self, record: dict[str, Any]) -> None:
        event = self._event(record)
        event.author, event.kind = record["process"], record["kind"]
        event.delay = record.get("delay", 0)
        self.done.add((event.author, f"sends {event.kind}"))
        sending = Sending(record["at"], record["timeout"], starved=-record["starved"])
        event.sendings[record["attempt"]] = sending

    def _sending_ended(self, record: dict[str, Any]) -> None:
        sending = self._event(record).sendings[record["attempt"]]
        sending.ended, sending.outcome = record["at"], record["outcome"]
        sending.detail = record["detail"]
        sending.starved += record["starved"]

    def _handling(self, record: dict[str, Any]) -> None:
        event = self._event(record)
        event.begun[record["handler"]].append(_is_again(record))
        event.first = min(event.first or record["at"], record["at"])
        event.revived += record.get("replayed", False)
        self.done.add((record["process"], record["handler"]))

    def _handled(self, record: dict[str, Any]) -> None:
        self._event(record).done[record["handler"]] += 1

    def _even_ledger(self, record: dict[str, Any]) -> None:
        self._even = record["before"]

    def _deleting(self, record: dict[str, Any]) -> None:
        author = record.get("author", "")
        self.deletions.append(Span(record["queue"], record["at"], since=self._even, author=author))

    def _deleted(self, record: dict[str, Any]) -> None:
        self.deletions[-1].ended = record["at"]

    def _fault_begins(self, record: dict[str, Any]) -> None:
        self.faults.append(Span(record["kind"], record["at"]))

    def _fault_ended(self, record: dict[str, Any]) -> None:
        (fault,) = [
            each for each in self.faults if each.what == record["kind"] and each.ended is None
        ]
        fault.ended, fault.detail = record["at"], record["detail"]

    def _hogging(self, record: dict[str, Any]) -> None:
        self.hogs.append(Span("hog", record["at"], author=record["author"]))

    def _hogged(self, record: dict[str, Any]) -> None:
        self.hogs[-1].ended = record["at"]

    def _gone(self, record: dict[str, Any]) -> None:
        self.gone[record["author"]] = record["how"]

    def _settled(self, record: dict[str, Any]) -> None:
        self.settled = record["at"]


def _is_again(record: dict[str, Any]) -> bool:
    """Return whether a worker was told that its message may have been handled before."""
    attempt, is_replayed = record.get("attempt", 1), record.get("replayed", False)
    return bool(record["redelivered"] or attempt > 1 or is_replayed)
