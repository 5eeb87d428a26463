"""Dead letters in a file: one line of JSON for each."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from rpcnode.amqp.entities import dead_queue
from rpcnode.amqp.reading import Fetched, Reader
from rpcnode.amqp.sending import Encoded
from rpcnode.amqp.session import Session
from rpcnode.deadletters.copying import from_line, importable, to_line
from rpcnode.deadletters.letter import DeadLetter
from rpcnode.exceptions import BrokerError, CommandError

BATCH = 100  # letters that are written before the file goes to disk
PUBLISHED_AT_ONCE = 20


class Export:
    """Writes letters; `remove` takes each out of its queue once the file is on disk."""

    def __init__(self, file: IO[str], reader: Reader, *, remove: bool) -> None:
        self._file = file
        self._reader = reader
        self._remove = remove
        self._written: list[Fetched] = []

    def write(self, letters: Iterable[tuple[Fetched, DeadLetter]]) -> int:
        """Write letters; return how many."""
        count = 0
        for fetched, letter in letters:
            self._file.write(to_line(letter) + "\n")
            count += 1
            if self._remove:
                self._written.append(fetched)
            if len(self._written) == BATCH:
                self._let_go()
        self._let_go()
        return count

    def _let_go(self) -> None:
        self._file.flush()
        if not self._written:
            return
        os.fsync(self._file.fileno())
        for fetched in self._written:
            self._reader.ack(fetched)
        self._written = []


class Import:
    """Publishes the letters of a file, once all of its lines are known to be letters."""

    def __init__(
        self, session: Session, config: Mapping[str, Any], file: IO[str], queue: str | None
    ) -> None:
        self._session = session
        self._config = config
        self._file = file
        self._queue = queue
        login = urlsplit(config["AMQP_URI"].partition(";")[0]).username
        self._username = None if login is None else unquote(login)

    def run(self, first_line: int) -> int:
        """Publish the letters from that line on; return how many."""
        queues = {message.routing_key for _number, message in self._messages(first_line)}
        for queue in sorted(queues):
            self._make_queue(queue)
        count = 0
        batch: list[tuple[int, Encoded]] = []
        for numbered in self._messages(first_line):
            batch.append(numbered)
            if len(batch) == PUBLISHED_AT_ONCE:
                self._publish(batch)
                count += len(batch)
                batch = []
        if batch:
            self._publish(batch)
        return count + len(batch)

    def _messages(self, first_line: int) -> Iterator[tuple[int, Encoded]]:
        """Yield the numbers of lines and what is in them; CommandError for one that is none."""
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            if number < first_line or not line.strip():
                continue
            try:
                message = from_line(line, self._queue)
                encoded = importable(message.encoded, self._username)
            except ValueError as exc:
                raise CommandError(f"line {number} is no dead letter: {exc}") from exc
            yield number, replace(message, encoded=encoded)

    def _make_queue(self, queue: str) -> None:
        # One that exists is used as it is: its limit may have been another one once.
        if not self._session.has_queue(queue):
            queue_type = self._config["QUEUE_TYPE"]
            self._session.declare(dead_queue(queue, self._config["DEAD_MAX_LENGTH"], queue_type))

    def _publish(self, batch: list[tuple[int, Encoded]]) -> None:
        first, last = batch[0][0], batch[-1][0]
        try:
            outcomes = self._session.publish([message for _number, message in batch])
        except BrokerError as exc:
            exc.add_note(
                f"the broker has the lines before line {first}; of the lines {first} to {last} "
                "it is not known"
            )
            raise
        failed = [
            (number, error) for (number, _), error in zip(batch, outcomes, strict=True) if error
        ]
        if failed:
            _number, error = failed[0]
            error.add_note(
                f"the broker has the lines up to {last}, without "
                f"{', '.join(str(each) for each, _error in failed)}"
            )
            raise error
