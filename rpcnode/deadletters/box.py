"""The dead letters of a broker, for programs: read, replay, purge, write to a file and back."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import IO, Any, Self

from rpcnode.amqp.copies import is_name
from rpcnode.amqp.reading import Fetched, Reader
from rpcnode.amqp.session import Session
from rpcnode.amqp.settings import settings_from
from rpcnode.config import Config, as_config
from rpcnode.deadletters.conditions import Condition
from rpcnode.deadletters.files import Export, Import
from rpcnode.deadletters.letter import SUFFIX, DeadLetter, letter_from
from rpcnode.deadletters.replaying import Replay, Replayed
from rpcnode.exceptions import CommandError


class DeadLetters:
    """What operators do with dead queues, for a program: a context manager, for one thread.

    It blocks, and needs no running service; services may run meanwhile. Queues are named by
    themselves, or by the queue that they belong to: without the `.dead`. `where` is a function
    that picks letters: `matching("exc-type=Value*", "age>1h")` makes one.

    Methods raise QueueNotFound for a queue that is not there, BrokerUnavailable and BrokerRefused
    when they cannot connect, ConnectionLost when the connection breaks. Whenever they end, also
    by being killed, every letter that was not replayed, purged or removed is in its queue.
    """

    def __init__(self, config: Config | Mapping[str, Any] | None = None) -> None:
        self._config = as_config(config)
        self._opened: Session | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        session, self._opened = self._opened, None
        if session is not None:
            session.close()

    def count(self, queue: str) -> int:
        """Return how many letters there are, without those that somebody is looking at."""
        return self._session.count(dead_name(queue))

    def read(
        self, queue: str, *, where: Condition | None = None, limit: int | None = None
    ) -> Iterator[DeadLetter]:
        """Yield the letters of a queue, at most `limit`, from its front on; none is taken away.

        Those that come meanwhile are not read. Until the iterator is used up or closed, nobody
        else sees those that it has yielded, and passed over. Between two letters the program may
        take two HEARTBEATs, no longer.
        """
        name, session = dead_name(queue), self._session
        with session.read(name, session.count(name)) as reader:
            for _fetched, letter in islice(_matching(reader, name, where), limit):
                yield letter

    def replay(
        self,
        queue: str,
        *,
        where: Condition | None = None,
        limit: int | None = None,
        rate: float | None = None,
        to: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Replayed:
        """Send letters back to work, at most `limit`, and `rate` per second.

        Each goes to the queue that it died in, or to each of the queues in `to`; once the broker
        has it there, it is taken out of the dead queue. It keeps its id, and begins anew with its
        attempts; the header `rpcnode-replayed` counts its replays. What dies again meanwhile is
        not replayed once more. `dry_run` only counts.
        """
        replay = Replay(self._session, dead_name(queue), tuple(to))
        return replay.run(where or _any_letter, limit=limit, rate=rate, dry_run=dry_run)

    def purge(self, queue: str, *, where: Condition | None = None, limit: int | None = None) -> int:
        """Throw letters away, at most `limit`; return how many. All of them, if none are meant.

        Raises CommandError for a queue that somebody consumes: that is one where work waits.
        """
        name, session = dead_name(queue), self._session
        if session.is_consumed(name):
            raise CommandError(
                f"{name!r} has a consumer, and is no dead queue: that of a queue with this name is "
                f"'{name}{SUFFIX}'"
            )
        if where is None and limit is None:
            return session.purge(name)
        purged = 0
        with session.read(name, session.count(name)) as reader:
            for fetched, _letter in islice(_matching(reader, name, where), limit):
                reader.ack(fetched)
                purged += 1
        return purged

    def export_to(
        self,
        file: IO[str],
        queue: str,
        *,
        where: Condition | None = None,
        limit: int | None = None,
        remove: bool = False,
    ) -> int:
        """Write letters to a file, one line of JSON for each; return how many.

        They stay where they are, unless they are to be removed: then each is taken out of its
        queue once the file is on disk, so that it has to be a real one.
        """
        name, session = dead_name(queue), self._session
        with session.read(name, session.count(name)) as reader:
            export = Export(file, reader, remove=remove)
            return export.write(islice(_matching(reader, name, where), limit))

    def import_from(self, file: IO[str], *, to: str | None = None, first_line: int = 1) -> int:
        """Put the letters of a file that `export_to` wrote into their dead queues, or into `to`.

        Return how many. A dead queue that is not there is made. Raises CommandError, naming the
        line, before anything is published, when one is no letter; what fails later tells which
        lines the broker has. Importing a file twice makes every letter twice, with the same id.
        """
        queue = None if to is None else dead_name(to)
        return Import(self._session, self._config, file, queue).run(first_line)

    @property
    def _session(self) -> Session:
        if self._opened is not None and not self._opened.is_fresh:
            self.close()
        if self._opened is None:
            settings = settings_from(self._config)
            self._opened = Session(settings, self._config["PUBLISH_TIMEOUT"])
        return self._opened


def dead_name(queue: str) -> str:
    """Return the name of a dead queue, whether it or its owner was named.

    Raises CommandError for a name that no queue can have.
    """
    name = queue if queue.endswith(SUFFIX) else f"{queue}{SUFFIX}"
    if not is_name(name):
        raise CommandError(f"{name!r} is too long for the name of a queue")
    return name


def _any_letter(_letter: DeadLetter) -> bool:
    return True


def _matching(
    reader: Reader, queue: str, where: Condition | None
) -> Iterator[tuple[Fetched, DeadLetter]]:
    for fetched in reader:
        letter = letter_from(fetched, queue)
        if where is None or where(letter):
            yield fetched, letter
