"""Publishing: confirms, mandatory returns, backpressure, and an outbox that tries again."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from amqp.exceptions import AMQPError, ChannelError

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
    call_later,
    sleep,
    spawn,
)
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    UndeliverableMessage,
)
from rpcnode.observers import Observers

logger = logging.getLogger(__name__)

RETRY_DELAY = 1.0  # seconds until the outbox offers a refused message again
CLOSE_TIMEOUT = 10.0  # seconds for the broker's answer to a closing channel
BATCH = 100  # messages that the outbox sends before others have their turn


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


@dataclass(slots=True, eq=False)
class _Parcel:
    """A message on its way out of the outbox."""

    message: Outgoing
    settle: Settle
    give_up_at: float | None
    outcome: Event[None] | None = None  # of the attempt to send it alone

    @property
    def is_late(self) -> bool:
        return self.give_up_at is not None and monotonic() >= self.give_up_at


class Outbox:
    """Publishes without ever blocking, again and again until the broker has the message.

    For what must not get lost and nobody waits for: replies. It is bounded by
    the deliveries that they answer: those are not acked before.
    """

    def __init__(self, publisher: Publisher, link: Link) -> None:
        self._publisher = publisher
        self._link = link
        self._waiting: deque[_Parcel] = deque()
        self._rejected: deque[_Parcel] = deque()
        self._is_opening = False
        self._is_closed = False
        self._in_flight = 0
        self._idle: Event[None] | None = None  # there while somebody waits for it

    def post(self, message: Outgoing, settle: Settle, give_up_at: float | None = None) -> None:
        """Publish `message` until it is confirmed; `settle` is called once, and must not block.

        It gets None, or the error of a message that cannot be delivered: UndeliverableMessage,
        UnserializableHeader, PublishRejected for a message that the broker will never take;
        or, after the monotonic time `give_up_at` or when the link is closed, the last failure.
        """
        self._in_flight += 1
        self._try(_Parcel(message, settle, give_up_at))

    def wait_idle(self, timeout: float | None) -> bool:
        """Wait until everything is confirmed; return whether it is."""
        if not self._in_flight:
            return True
        if self._idle is None:
            self._idle = Event()
        return self._idle.wait(timeout)

    def close(self) -> None:
        """Try nothing again from now on: what is not confirmed is settled as BrokerUnavailable."""
        self._is_closed = True
        self._drop(_given_up())

    def _try(self, parcel: _Parcel) -> None:
        if self._is_closed:
            self._finish(parcel, _given_up())
            return
        try:
            is_written = self._publisher.post_now(parcel.message, partial(self._settled, parcel))
        except BrokerUnavailable:
            is_written = False
        except Exception as exc:  # it cannot be encoded: no later attempt can change that
            self._finish(parcel, exc)
            return
        if not is_written:
            self._again(parcel, 0)

    def _settled(self, parcel: _Parcel, error: BaseException | None) -> None:
        if error is None or _is_final(error) or parcel.is_late:
            self._finish(parcel, error)
            return
        if self._is_closed:
            self._finish(parcel, _given_up())
            return
        logger.debug("message %s is not confirmed (%s); it is sent again", parcel.message.id, error)
        if isinstance(error, PublishRejected) or isinstance(error.__cause__, ChannelError):
            parcel.outcome = parcel.outcome or Event()
            self._again(parcel, RETRY_DELAY)
        else:
            self._again(parcel, 0)

    def _again(self, parcel: _Parcel, delay: float) -> None:
        if parcel.outcome is None:
            self._waiting.append(parcel)
        else:
            self._rejected.append(parcel)
            parcel.outcome.set()
        self._send_soon(delay)

    def _finish(self, parcel: _Parcel, error: BaseException | None) -> None:
        self._in_flight -= 1
        if parcel.outcome is not None:
            parcel.outcome.set()
        try:
            parcel.settle(error)
        finally:
            if self._in_flight == 0 and self._idle is not None:
                self._idle.set()
                self._idle = None

    def _send_soon(self, delay: float) -> None:
        if not self._is_opening:
            self._is_opening = True
            call_later(delay, spawn, self._send_all)

    def _send_all(self) -> None:
        began = monotonic()
        try:
            self._publisher.open(RETRY_DELAY)
            self._send_waiting()
            self._send_rejected()
        except BrokerUnavailable as exc:
            self._drop(BrokerUnavailable(f"the message was not confirmed: {exc}"))
        finally:
            self._is_opening = False
            if self._waiting or self._rejected:
                self._send_soon(max(0.0, began + RETRY_DELAY - monotonic()))

    def _send_waiting(self) -> None:
        for number in range(1, len(self._waiting) + 1):
            self._try(self._waiting.popleft())
            if number % BATCH == 0:
                sleep(0)

    def _send_rejected(self) -> None:
        # Each waits for the outcome of the one before: the broker closes the channel over a
        # message without saying which one it was, and takes the confirms of others with it.
        for _ in range(len(self._rejected)):
            self._publisher.open(RETRY_DELAY)
            parcel = self._rejected.popleft()
            outcome: Event[None] = Event()
            parcel.outcome = outcome
            self._try(parcel)
            outcome.wait()

    def _drop(self, error: BrokerUnavailable) -> None:
        """Give up what is too late; without hope for a connection, everything."""
        for queue in (self._waiting, self._rejected):
            for _ in range(len(queue)):
                parcel = queue.popleft()
                if self._is_closed or self._link.is_closed or parcel.is_late:
                    self._finish(parcel, error)
                else:
                    queue.append(parcel)


def _given_up() -> BrokerUnavailable:
    return BrokerUnavailable("the sender stopped before the message was confirmed")


def _is_final(error: BaseException) -> bool:
    """Return whether the message will never be taken: see `rpcnode.amqp.confirming`."""
    if isinstance(error, PublishRejected):
        return isinstance(error.__cause__, ChannelError)
    return isinstance(error, UndeliverableMessage)
