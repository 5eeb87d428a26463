"""Sending dead letters back to work."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic

from rpcnode.amqp.copies import is_name
from rpcnode.amqp.reading import Fetched, Reader
from rpcnode.amqp.sending import Encoded, Outcomes
from rpcnode.amqp.session import Session
from rpcnode.deadletters.conditions import Condition
from rpcnode.deadletters.copying import destination_of, replay_of
from rpcnode.deadletters.letter import SUFFIX, DeadLetter, letter_from
from rpcnode.exceptions import BrokerError, CommandError, QueueNotFound, UndecodableMessage

BATCH = 20  # letters whose copies are on their way to the broker at once
SLICES = 5  # how often within a second a rate is kept
CLOCK_SKEW = timedelta(minutes=1)  # between those who replay the same queue


@dataclass(slots=True)
class Replayed:
    """What became of a replay: how many letters were meant, and are back at work.

    `failures` are the reasons why the others are not, with the number of letters for each: these
    stay in the dead queue. `died_again` were replayed since it began, and are left alone.
    """

    matched: int = 0
    replayed: int = 0
    died_again: int = 0
    failures: Counter[str] = field(default_factory=Counter)


class Replay:
    """One run through a dead queue; `to` are the queues that take the place of the owner's."""

    def __init__(self, session: Session, queue: str, to: tuple[str, ...]) -> None:
        self._session = session
        self._queue = queue
        self._to = to
        self._result = Replayed()
        self._began = datetime.now(UTC)
        self._exchanges: dict[str, bool] = {}  # whether they are there

    def run(
        self, where: Condition, *, limit: int | None, rate: float | None, dry_run: bool
    ) -> Replayed:
        """Replay what was in the queue at the start; return what became of it."""
        self._check_targets()
        pace = _Pace(self._session, rate)
        size = pace.batch
        batch: list[tuple[Fetched, DeadLetter]] = []
        count = self._session.count(self._queue)
        with self._session.read(self._queue, count) as reader:
            for fetched in reader:
                if self._result.matched == limit:
                    break
                letter = letter_from(fetched, self._queue)
                if not self._is_meant(letter, where):
                    continue
                self._result.matched += 1
                if not dry_run:
                    batch.append((fetched, letter))
                if len(batch) == size:
                    self._send(reader, batch)
                    pace.wait(len(batch))
                    batch = []
            self._send(reader, batch)
        return self._result

    def _check_targets(self) -> None:
        owner = self._queue.removesuffix(SUFFIX)
        for queue in self._to or (owner,):
            if not is_name(queue):
                raise CommandError(f"{queue!r} is too long for the name of a queue")
            if queue == self._queue:
                raise CommandError(f"the letters of {queue!r} cannot be replayed into it")
            if not self._session.has_queue(queue):
                raise QueueNotFound(
                    f"there is no queue {queue!r} for the letters of {self._queue!r}: replay them "
                    "to another one. Was the handler renamed? A broadcast handler has a queue for "
                    "each instance, and all of them share a dead queue"
                )

    def _is_meant(self, letter: DeadLetter, where: Condition) -> bool:
        # What dies as soon as it is replayed must not go round for ever; nor may two who replay
        # the same queue at the same time keep it going. A time to come is a stranger's.
        latest = datetime.now(UTC) + CLOCK_SKEW
        if letter.replayed_at is not None and self._began <= letter.replayed_at <= latest:
            self._result.died_again += 1
            return False
        return where(letter)

    def _send(self, reader: Reader, batch: list[tuple[Fetched, DeadLetter]]) -> None:
        """Publish the copies of a batch; take those out of the queue that the broker has."""
        copies: list[Encoded] = []
        sent: list[tuple[Fetched, int]] = []  # and how many copies there are of it
        for fetched, letter in batch:
            try:
                own = [replay_of(letter, each) for each in self._destinations(letter)]
            except (UndecodableMessage, QueueNotFound) as exc:
                self._result.failures[str(exc)] += 1
                continue
            copies += own
            sent.append((fetched, len(own)))
        outcomes = self._publish(copies) if copies else []
        for fetched, number in sent:
            own_outcomes, outcomes = outcomes[:number], outcomes[number:]
            failure = next((each for each in own_outcomes if each is not None), None)
            if failure is None:
                reader.ack(fetched)
                self._result.replayed += 1
            else:
                self._result.failures[str(failure)] += 1

    def _publish(self, copies: list[Encoded]) -> Outcomes:
        try:
            return self._session.publish(copies)
        except BrokerError as exc:
            exc.add_note(f"replayed before that: {self._result.replayed}")
            raise

    def _destinations(self, letter: DeadLetter) -> list[tuple[str, str]]:
        if self._to:
            return [("", queue) for queue in self._to]
        destination = destination_of(letter)
        exchange = destination[0]
        # To publish to an exchange that is not there would close the channel on all others.
        if exchange not in self._exchanges:
            self._exchanges[exchange] = self._session.has_exchange(exchange)
        if not self._exchanges[exchange]:
            raise QueueNotFound(f"there is no exchange {exchange!r}")
        return [destination]


class _Pace:
    """Keeps to so many letters per second; None for as fast as it goes."""

    def __init__(self, session: Session, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise CommandError(f"the rate is a number above 0, not {rate!r}")
        self._session = session
        self._rate = rate
        self._due = monotonic()
        self.batch = BATCH if rate is None else max(1, min(BATCH, int(rate / SLICES)))

    def wait(self, count: int) -> None:
        """Wait until it is time for the next letter after `count`."""
        if self._rate is not None:
            self._due += count / self._rate
            self._session.pause(self._due - monotonic())
