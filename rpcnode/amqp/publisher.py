"""Publishing: confirms, mandatory returns, backpressure."""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic
from typing import Any

from amqp.exceptions import AMQPError

from rpcnode.amqp.confirming import ConfirmChannel, PlainChannel
from rpcnode.amqp.confirms import Settle
from rpcnode.amqp.connection import Link
from rpcnode.amqp.consumer import declare_each
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import (
    LONGEST_TIMER,
    Event,
    Semaphore,
    Timeout,
)
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishTimeout,
)
from rpcnode.observers import Observers

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0  # seconds for the broker's answer to a closing channel


class Publisher:
    """Publishes on one channel of its own, opened when needed and again after a loss.

    What `entities()` returns is declared before each channel is used: the broker may have lost
    it with the connection before.
    """

    def __init__(
        self, link: Link, observers: Observers, entities: Callable[[], Iterable[Any]] = tuple
    ) -> None:
        self._link = link
        self._observers = observers
        self._entities = entities
        self._channel: ConfirmChannel | PlainChannel | None = None
        self._opening = Semaphore(1)

    @property
    def unconfirmed(self) -> int:
        """How many messages await their confirm."""
        return 0 if self._channel is None else self._channel.unconfirmed

    def publish(self, message: Outgoing, timeout: float | None) -> None:
        """Publish and wait until the broker has the message.

        What was lost with its connection before it was sent is sent again, on the next one.
        Raises BrokerUnavailable (nothing was sent), PublishTimeout and ConnectionLost (the
        outcome is unknown), PublishRejected, UndeliverableMessage or UnserializableHeader.
        """
        deadline = None if timeout is None else monotonic() + timeout
        left = timeout
        while True:
            outcome: Event[None] = Event()
            self.post(message, partial(_set_outcome, outcome), left)
            if not outcome.wait(_left(deadline)):
                raise PublishTimeout(
                    f"the broker did not confirm a message for exchange {message.exchange!r} "
                    f"within {timeout} s"
                )
            try:
                return outcome.result()
            except BrokerUnavailable as exc:
                logger.debug("message %s is sent again: %s", message.id, exc)
                left = _left(deadline)

    def post(self, message: Outgoing, settle: Settle, timeout: float | None) -> None:
        """Write as soon as there is a connection and room; `settle` hears the outcome.

        Raises BrokerUnavailable after `timeout` seconds, when nothing was sent. `settle` is
        called once, with None or the error, and must not block; BrokerUnavailable there says
        that the connection was lost before the message was sent, so that it may be sent again.
        """
        channel = self._channel
        if channel is None or not channel.is_ready:
            channel = self._ready_channel(timeout)
        channel.send(message, settle)
        for observe in self._observers.message_published:
            observe(message)

    def post_now(self, message: Outgoing, settle: Settle) -> bool:
        """Write at once, whatever is waiting to be sent; return False without a channel."""
        channel = self._channel
        if channel is None or not channel.is_open:
            return False
        channel.send(message, settle)
        for observe in self._observers.message_published:
            observe(message)
        return True

    def open(self, timeout: float | None) -> None:
        """Open the channel, if it is not open; raise BrokerUnavailable after `timeout` seconds."""
        if self._channel is None or not self._channel.is_open:
            self._open_channel(timeout)

    def close(self) -> None:
        """Close the channel; what is unconfirmed is settled as lost."""
        channel, self._channel = self._channel, None
        if channel is None or not channel.is_open:
            return
        try:
            with Timeout(CLOSE_TIMEOUT, False):
                channel.close()
        except (AMQPError, OSError) as exc:
            logger.debug("closing a publishing channel: %s", exc)

    def _ready_channel(self, timeout: float | None) -> ConfirmChannel | PlainChannel:
        """Return the channel, once it is open and has room."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            channel = self._channel
            if channel is None or not channel.is_open:
                channel = self._open_channel(_left(deadline))
            if not channel.wait_for_room(_left(deadline)):
                raise BrokerUnavailable(f"the broker took no message for {timeout} s")
            if channel.is_open:  # it may have been lost meanwhile
                return channel

    def _open_channel(self, timeout: float | None) -> ConfirmChannel | PlainChannel:
        self._link.start()
        limit = Timeout(None if timeout is None else min(timeout, LONGEST_TIMER))
        try:
            with self._opening:
                while self._channel is None or not self._channel.is_open:
                    self._channel = self._make_channel()
                return self._channel
        except Timeout as exc:
            if exc is not limit:
                raise
            raise self._link.unavailable() from None
        finally:
            limit.cancel()

    def _make_channel(self) -> ConfirmChannel | PlainChannel | None:
        """Return a new channel; None when the connection was lost meanwhile."""
        settings = self._link.settings
        try:
            self._link.wait_connected(None)
            declare_each(self._link, list(self._entities()))
            channel = self._link.channel()
            if settings.is_amqp:
                return ConfirmChannel(channel)
            return PlainChannel(channel, settings.is_embedded)
        except (BrokerUnavailable, ConnectionLost, AMQPError, OSError) as exc:
            if self._link.is_connected or self._link.is_closed:
                raise BrokerUnavailable(f"opening a publishing channel: {exc}") from exc
            return None  # there is another attempt on the next connection


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


def _set_outcome(outcome: Event[None], error: BaseException | None) -> None:
    if error is None:
        outcome.set()
    else:
        outcome.fail(error)
