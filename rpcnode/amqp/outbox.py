"""The outbox: publishes without blocking, and tries again."""

import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from time import monotonic

from amqp.exceptions import ChannelError

from rpcnode.amqp.confirms import Settle
from rpcnode.amqp.connection import Link
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.publisher import Publisher
from rpcnode.concurrency import (
    Event,
    call_later,
    sleep,
    spawn,
)
from rpcnode.exceptions import (
    BrokerUnavailable,
    PublishRejected,
    UndeliverableMessage,
)

logger = logging.getLogger(__name__)

RETRY_DELAY = 1.0  # seconds until the outbox offers a refused message again
BATCH = 100  # messages that the outbox sends before others have their turn


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
