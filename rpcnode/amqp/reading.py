"""Reading a queue from the front, without taking anything away until it is acked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from rpcnode.amqp.properties import encode_properties

WINDOW = 20  # messages that were asked for and did not come yet


@dataclass(frozen=True, slots=True)
class Fetched:
    """A message of a queue, which stays the reader's until it is acked or the reader closed.

    `encoded` are its properties in bytes. `problem` is why they could not be read: then there
    are neither properties nor headers.
    """

    tag: int
    exchange: str
    routing_key: str
    redelivered: bool
    properties: dict[str, Any]
    headers: dict[str, Any]
    body: bytes
    encoded: bytes
    problem: Exception | None = None


class Reader:
    """Yields at most `limit` messages of a queue, in their order, until it is empty.

    What was not acked is back in its place once the reader is closed. `translated` makes our
    errors of the broker's.
    """

    def __init__(
        self,
        channel: Any,
        queue: str,
        limit: int,
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._channel = channel
        self._queue = queue
        self._left = limit
        self._translated = translated

    def __iter__(self) -> Iterator[Fetched]:
        while self._left > 0:
            with self._translated():
                message = self._next()
            if message is None:
                return
            yield message

    def ack(self, message: Fetched) -> None:
        """Take a message out of the queue; the broker has done so once the reader is closed."""
        with self._translated():
            self._channel.basic_ack(message.tag)

    def _next(self) -> Fetched | None:
        self._left -= 1
        delivered = self._channel.basic_get(self._queue)
        return None if delivered is None else _fetched(delivered)


class PipelinedReader(Reader):
    """The same on RabbitMQ: asks for some messages ahead, so as not to wait for each.

    A consumer would not do: either the broker sends it all there is, however fast it takes
    that, or it stops once so many are not acked. `drain` takes what the broker sends next.
    """

    def __init__(self, *reading: Any, drain: Callable[[], object]) -> None:
        super().__init__(*reading)
        self._drain = drain
        self._awaited = 0
        self._is_empty = False

    def __iter__(self) -> Iterator[Fetched]:
        while True:
            with self._translated():
                message = self._next()
            if message is None:
                return
            yield message

    def _next(self) -> Fetched | None:
        while True:
            while self._awaited < WINDOW and self._left > 0 and not self._is_empty:
                self._channel.ask(self._queue)
                self._awaited += 1
                self._left -= 1
            if not self._awaited:
                return None
            while not self._channel.got:
                self._drain()
            delivered = self._channel.got.popleft()
            self._awaited -= 1
            if delivered is not None:
                return _fetched(delivered)
            self._is_empty = True  # but something may have come for those that were asked later


def _fetched(delivered: Any) -> Fetched:
    info = delivered.delivery_info
    properties = dict(delivered.properties)
    headers = properties.pop("application_headers", None) or {}
    encoded = getattr(delivered.properties, "encoded", None)
    return Fetched(
        tag=info["delivery_tag"],
        exchange=info["exchange"],
        routing_key=info["routing_key"],
        redelivered=bool(info.get("redelivered")),
        properties=properties,
        headers=headers,
        body=delivered.body,
        encoded=encode_properties(properties, headers) if encoded is None else encoded,
        problem=getattr(delivered.properties, "problem", None),
    )
