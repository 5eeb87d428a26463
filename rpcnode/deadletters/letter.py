"""What is known about one dead letter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rpcnode.amqp.copies import is_name
from rpcnode.amqp.dead import CRASHED, EXPIRED, REJECTED
from rpcnode.amqp.reading import Fetched

UNKNOWN = "unknown"
SUFFIX = ".dead"
# What RabbitMQ calls the deaths that it decides on itself, in our words.
_BROKERS_REASONS = {"delivery_limit": CRASHED, "expired": EXPIRED, "rejected": REJECTED}
_LATEST = 253_402_300_799_000  # milliseconds until the end of the year 9999
_LARGEST = 2**53  # of counts: a replay adds to one


@dataclass(frozen=True, slots=True, repr=False)
class DeadLetter:
    """A message in a dead queue, and why it is there.

    - `queue`: the dead queue; `id`: the message's own, None where it has none.
    - `reason`: `exhausted`, `rejected`, `invalid`, `undecodable`, `expired`, `crashed`,
      `redelivered`, or what RabbitMQ says of a message that it has put there itself.
    - `exc_type`, `exc_message`, `traceback`: the error, as texts; empty where there was none.
    - `attempts`: how often the method ran; `handler`: that method, as `service.method`.
    - `first_failed`, `last_failed`: when, in UTC; None where that is not known.
    - `origin_exchange`, `origin_key`: where it was published to at first.
    - `replayed`: how often it was replayed before it died again; `replayed_at`: when last.
    - `body`, `properties`, `headers`: the message; `redelivered`: whether somebody has looked at
      it before. `encoded` are the properties as they came, for those who pass it on.
    """

    queue: str
    id: str | None
    reason: str
    exc_type: str
    exc_message: str
    traceback: str
    attempts: int
    first_failed: datetime | None
    last_failed: datetime | None
    handler: str
    host: str
    origin_exchange: str
    origin_key: str
    replayed: int
    replayed_at: datetime | None
    body: bytes
    properties: Mapping[str, Any]
    headers: Mapping[str, Any]
    redelivered: bool
    encoded: bytes

    def __repr__(self) -> str:
        # Without the body: whoever logs a letter does not want to publish what is in it.
        return f"<DeadLetter {self.id!r} of {self.queue!r}: {self.reason} {self.exc_type}>"

    @property
    def age(self) -> float | None:
        """The seconds since it died; None where that is not known."""
        if self.last_failed is None:
            return None
        return max(0.0, time.time() - self.last_failed.timestamp())

    @property
    def owner(self) -> str:
        """The queue that it is the dead letter of."""
        return self.queue.removesuffix(SUFFIX)


def letter_from(fetched: Fetched, queue: str) -> DeadLetter:
    """Return what a message of the dead queue `queue` tells."""
    headers = fetched.headers
    notes = _Notes(headers, _brokers_note(headers))
    message_id = fetched.properties.get("message_id")
    return DeadLetter(
        queue=queue,
        id=message_id if isinstance(message_id, str) else None,
        reason=notes.reason(),
        exc_type=notes.text("rpcnode-exc-type"),
        exc_message=notes.text("rpcnode-exc-message"),
        traceback=notes.text("rpcnode-traceback"),
        attempts=notes.number("rpcnode-attempts"),
        first_failed=notes.moment("rpcnode-first-failed"),
        last_failed=notes.moment("rpcnode-last-failed") or notes.brokers_time(),
        handler=notes.text("rpcnode-handler"),
        host=notes.text("rpcnode-host"),
        origin_exchange=notes.origin("rpcnode-origin-exchange", "exchange"),
        origin_key=notes.origin("rpcnode-origin-key", "routing-keys"),
        replayed=notes.number("rpcnode-replayed"),
        replayed_at=notes.moment("rpcnode-replayed-at"),
        body=fetched.body,
        properties=fetched.properties,
        headers=headers,
        redelivered=fetched.redelivered,
        encoded=fetched.encoded,
    )


def _brokers_note(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return RabbitMQ's own note on the latest death; empty where it has none."""
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else {}
    return latest if isinstance(latest, Mapping) else {}


class _Notes:
    """The notes in the headers, which anybody may have written."""

    def __init__(self, headers: Mapping[str, Any], brokers: Mapping[str, Any]) -> None:
        self._headers = headers
        self._brokers = brokers

    def text(self, name: str) -> str:
        value = self._headers.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        value = self._headers.get(name)
        return value if isinstance(value, int) and 0 < value < _LARGEST else 0

    def moment(self, name: str) -> datetime | None:
        milliseconds = self.number(name)
        if not 0 < milliseconds <= _LATEST:
            return None
        return datetime.fromtimestamp(milliseconds / 1000, UTC)

    def reason(self) -> str:
        reason = self.text("rpcnode-dead-reason")
        if reason:
            return reason
        given = self._brokers.get("reason")
        return _BROKERS_REASONS.get(given, given) if isinstance(given, str) else UNKNOWN

    def brokers_time(self) -> datetime | None:
        when = self._brokers.get("time")
        return when.replace(tzinfo=UTC) if isinstance(when, datetime) else None

    def origin(self, name: str, brokers_name: str) -> str:
        own = self._headers.get(name)
        if is_name(own):
            return own
        theirs = self._brokers.get(brokers_name, "")
        theirs = theirs[0] if isinstance(theirs, list) and theirs else theirs
        return theirs if is_name(theirs) else ""
