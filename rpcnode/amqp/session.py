"""What tools do with queues: look into them, take messages out, put messages in.

A session is for one thread, and blocks it. On RabbitMQ it has a connection of its own; on the
embedded broker it works inside the process that has that broker.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from amqp.exceptions import AMQPError, ChannelError, NotFound, PreconditionFailed

from rpcnode.amqp.blocking import connect
from rpcnode.amqp.declaring import declare
from rpcnode.amqp.reading import PipelinedReader, Reader
from rpcnode.amqp.sending import ConfirmedSender, Encoded, ImmediateSender, Outcomes
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import (
    BrokerRefused,
    ConfigurationError,
    ConnectionLost,
    QueueNotFound,
)

IDLE = 10.0  # seconds after which nobody knows whether a connection is still there
CLOSE_TIMEOUT = 3.0  # seconds that a goodbye is worth


class Session:
    """A connection to the broker, for tools.

    Nothing waits for an answer of the broker longer than `timeout` seconds. Methods raise
    QueueNotFound for a queue that is not there, BrokerRefused for what the broker does not
    allow, ConnectionLost when the connection breaks: then the broker takes back what was not
    acknowledged.
    """

    def __init__(self, settings: BrokerSettings, timeout: float) -> None:
        if not (settings.is_amqp or settings.is_embedded):
            raise ConfigurationError(
                f"{settings.safe_uri}: only RabbitMQ and the embedded broker have dead letters"
            )
        self._timeout = timeout
        self._driver, broker = connect(settings)
        self._place = broker.safe_uri
        self._is_amqp = settings.is_amqp
        if self._is_amqp:
            self._driver.answer_timeout = timeout
        self._sender: ConfirmedSender | ImmediateSender | None = None
        self._beat_due = 0.0
        self._readers = 0
        self._used_at = time.monotonic()

    @property
    def is_fresh(self) -> bool:
        """Whether it can be used without a doubt: it was a moment ago, or somebody reads."""
        return self._readers > 0 or time.monotonic() - self._used_at < IDLE

    def close(self) -> None:
        """Say goodbye; the broker takes back what was not acknowledged."""
        if self._is_amqp:
            self._driver.answer_timeout = CLOSE_TIMEOUT
        try:
            self._driver.close()
        except (AMQPError, OSError):  # it is over, with or without a goodbye
            self._driver.collect()

    def count(self, queue: str) -> int:
        """Return how many messages of a queue are ready."""
        with self._channel(f"queue {queue!r}") as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def is_consumed(self, queue: str) -> bool:
        """Return whether somebody consumes a queue."""
        with self._channel(f"queue {queue!r}") as channel:
            return bool(channel.queue_declare(queue, passive=True).consumer_count)

    def has_queue(self, queue: str) -> bool:
        """Return whether a queue is there."""
        with self._channel(f"queue {queue!r}") as channel:
            return _is_there(partial(channel.queue_declare, queue, passive=True))

    def has_exchange(self, exchange: str) -> bool:
        """Return whether an exchange is there; the default exchange always is."""
        if exchange == "":
            return True
        with self._channel(f"exchange {exchange!r}") as channel:
            return _is_there(partial(channel.exchange_declare, exchange, "topic", passive=True))

    def declare(self, entity: Any) -> None:
        """Declare a kombu entity."""
        with self._channel(f"{entity.name!r}") as channel:
            declare(channel, entity)

    def purge(self, queue: str) -> int:
        """Drop all that is ready in a queue; return how much that was."""
        with self._channel(f"queue {queue!r}") as channel:
            return int(channel.queue_purge(queue))

    def delete_unused_queue(self, queue: str) -> bool:
        """Delete a queue that is empty and that nobody consumes; return whether it was so."""
        with self._channel(f"queue {queue!r}") as channel:
            return _is_done(partial(channel.queue_delete, queue, if_unused=True, if_empty=True))

    def delete_unused_exchange(self, exchange: str) -> bool:
        """Delete an exchange that nothing is bound to; return whether it was so."""
        with self._channel(f"exchange {exchange!r}") as channel:
            return _is_done(partial(channel.exchange_delete, exchange, if_unused=True))

    @contextmanager
    def read(self, queue: str, limit: int) -> Iterator[Reader]:
        """Give a reader of at most `limit` messages, from the front of a queue.

        What it did not ack is back in the queue when the block ends, however it ends.
        """
        translated = partial(self._translated, f"queue {queue!r}")
        with translated():
            channel = self._driver.channel()
        self._readers += 1
        try:
            if self._is_amqp:
                yield PipelinedReader(channel, queue, limit, translated, drain=self._drain)
            else:
                yield Reader(channel, queue, limit, translated)
        finally:
            self._readers -= 1
            with translated():
                _close(channel)

    def publish(self, messages: Sequence[Encoded]) -> Outcomes:
        """Publish and wait for the broker; return for each message None, or why it has it not.

        These reasons are UndeliverableMessage and PublishRejected. Raises PublishTimeout and
        ConnectionLost, which leave it open which of them the broker has.
        """
        with self._translated("publishing"):
            sender = self._sender
            if sender is None or not sender.is_open:
                sender = self._sender = self._make_sender()
            return sender.send(messages)

    def pause(self, seconds: float) -> None:
        """Wait, without losing the connection."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with self._translated("waiting"):
                self._beat()
            time.sleep(min(left, 1))  # until the end, or the next look at whether a beat is due

    def _make_sender(self) -> ConfirmedSender | ImmediateSender:
        channel = self._driver.channel()
        if self._is_amqp:
            return ConfirmedSender(channel, self._timeout, self._drain)
        return ImmediateSender(channel)

    def _drain(self, timeout: float | None = None) -> None:
        self._beat()
        self._driver.drain_events(timeout=self._timeout if timeout is None else timeout)

    def _beat(self) -> None:
        """Tell the broker that we are alive, when it is time to."""
        if self._is_amqp and self._driver.heartbeat and time.monotonic() > self._beat_due:
            self._beat_due = time.monotonic() + self._driver.heartbeat / 2
            self._driver.send_heartbeat()

    @contextmanager
    def _channel(self, what: str) -> Iterator[Any]:
        with self._translated(what):
            channel = self._driver.channel()
            try:
                yield channel
            finally:
                _close(channel)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Raise our error for what the broker says in the block."""
        self._used_at = time.monotonic()
        try:
            yield
        except NotFound as exc:
            raise QueueNotFound(f"there is no {what} at {self._place}") from exc
        except ChannelError as exc:
            raise BrokerRefused(f"{self._place} refuses {what}: {exc.reply_text}") from exc
        except TimeoutError as exc:
            raise ConnectionLost(
                f"{what}: {self._place} did not answer within {self._timeout:g} s"
            ) from exc
        except (AMQPError, OSError) as exc:
            raise ConnectionLost(
                f"{what}: the connection to {self._place} was lost ({exc})"
            ) from exc


def _close(channel: Any) -> None:
    # One that the broker has closed needs no goodbye; neither does a lost connection.
    if channel.connection is not None and channel.connection.connected:
        channel.close()


def _is_there(declare_passively: Callable[[], object]) -> bool:
    with suppress(NotFound):
        declare_passively()
        return True
    return False


def _is_done(delete: Callable[[], object]) -> bool:
    """Delete; return False when the broker says that the thing is in use, or not empty."""
    with suppress(PreconditionFailed):
        delete()
        return True
    return False
