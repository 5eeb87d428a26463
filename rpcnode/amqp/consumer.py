"""Consuming: queues -> handlers, for as long as the consumer lives."""

import logging
import random
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import kombu
from amqp.exceptions import AMQPError, ChannelError

from rpcnode.amqp.attachment import ANSWER_TIMEOUT, Attachment
from rpcnode.amqp.connection import Link
from rpcnode.amqp.declaring import declare, is_there, refused
from rpcnode.amqp.leaving import abandon, quietly
from rpcnode.amqp.message import Delivery
from rpcnode.concurrency import Event, Semaphore, Timeout, call_soon, spawn
from rpcnode.exceptions import BrokerError, BrokerRefused, ConnectionLost
from rpcnode.observers import Observers

__all__ = ["Consumer", "abandon", "declare", "refused"]

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.5  # seconds until a consumer that the broker threw off tries again
LONGEST_DELAY = 30.0


def declare_each(link: Link, entities: Iterable[Any]) -> None:
    """Declare entities one by one, again: one that is refused now is logged, and the rest done.

    Raises BrokerUnavailable without a connection, and ConnectionLost.
    """
    for entity in entities:
        channel = link.channel(timeout=0)
        try:
            declare(channel, entity)
        except BrokerRefused as exc:
            logger.error("%s", exc)
        finally:
            abandon(channel)


def queue_exists(link: Link, name: str, timeout: float | None = 0) -> bool:
    """Return whether a queue is there, whatever its arguments are; nothing is declared.

    Raises BrokerUnavailable without a connection within `timeout` seconds, ConnectionLost.
    """
    channel = link.channel(timeout)
    try:
        return is_there(channel, name)
    except (AMQPError, OSError) as exc:
        raise ConnectionLost(f"looking for queue {name!r}: {exc}") from exc
    finally:
        abandon(channel)


class Consumer:
    """Consumes one queue on a channel of its own, and again after every loss.

    `handler(delivery)` is called by the reader, so it must not block. `make_queue` is called
    for each attachment: an exclusive queue may need a new name. `prefetch` 0 is unlimited.
    With `acks_together` one ack stands for several deliveries: for a handler that acks each
    before it returns, without a prefetch.

    `on_attached()` is called after each attachment. `on_queue_lost()` is called when the queue
    vanished, with what was in it, or cannot be reached, because the only node of a cluster that
    has it is down; `make_queue` is called after that, for the same one or for another.
    `prepare(queue)` declares what must be there before the queue. All are called by the green
    thread that attaches; until it has attached, `is_attached` is False.
    """

    def __init__(
        self,
        link: Link,
        make_queue: Callable[[], kombu.Queue],
        handler: Callable[[Delivery], object],
        observers: Observers,
        *,
        prefetch: int = 0,
        acks_together: bool = False,
        on_attached: Callable[[], object] | None = None,
        on_queue_lost: Callable[[], object] | None = None,
        prepare: Callable[[kombu.Queue], object] | None = None,
    ) -> None:
        self._link = link
        self._make_queue = make_queue
        self._handler = handler
        self._observers = observers
        self._prefetch = prefetch
        self._acks_together = acks_together
        self._on_attached = on_attached
        self._on_queue_lost = on_queue_lost
        self._prepare = prepare
        self._attachment: Attachment | None = None
        self._retired: list[Attachment] = []
        self._queue_name = ""
        self._was_attached = False
        self._is_cancelled = False
        self._is_attaching = False
        self._attaching = Semaphore(1)
        self._attached: Event[None] = Event()
        self._closed: Event[None] = Event()

    @property
    def is_attached(self) -> bool:
        """Whether the broker sends us messages."""
        return self._attachment is not None and not self._is_cancelled

    @property
    def is_missing(self) -> bool:
        """Whether it should get messages, and does not."""
        is_wanted = self._was_attached or self._is_attaching
        return is_wanted and not self.is_attached and not self._is_cancelled

    @property
    def queue_name(self) -> str:
        """The name of the queue that is consumed (the latest one)."""
        return self._queue_name

    def wait_attached(self, timeout: float | None) -> bool:
        """Wait until the broker sends us messages; return whether it does."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self.is_attached and not self._is_cancelled:
            if not self._attached.wait(None if deadline is None else deadline - monotonic()):
                break
        return self.is_attached

    def start(self) -> None:
        """Declare the queue and consume it.

        Raises BrokerRefused when the queue cannot be had. Without a connection, or with one
        that breaks meanwhile, the consumer attaches to the next one.
        """
        self._link.on_connected.append(self._attach_again)
        self._link.on_lost.append(self._connection_lost)
        try:
            self._attach()
        except BrokerRefused:
            self._leave()
            raise
        except BrokerError as exc:
            logger.debug("attaching to %r: %s", self._queue_name, exc)
            self._attach_again()

    def cancel(self) -> None:
        """Ask for no more messages; return when none can come any more."""
        self._is_cancelled = True
        self._attached.set()
        _remove(self._link.on_connected, self._attach_again)
        with Timeout(ANSWER_TIMEOUT, False), self._attaching:
            if self._attachment is not None:
                self._attachment.cancel()

    def close(self) -> None:
        """Close the channel: the broker takes back what was not acknowledged."""
        self.cancel()
        self._closed.set()
        self._leave()
        attachment, self._attachment = self._attachment, None
        retired, self._retired = self._retired, []
        for one in retired:
            one.abandon()
        if attachment is not None:
            attachment.close()

    def _leave(self) -> None:
        """Hear no more of the link."""
        _remove(self._link.on_connected, self._attach_again)
        _remove(self._link.on_lost, self._connection_lost)

    def delete_queue(self) -> None:
        """Delete the queue; a missing one is no error."""
        if self._attachment is not None:
            quietly(self._attachment.channel.queue_delete, self._queue_name)

    def _attach(self) -> None:
        with self._attaching:
            if self._is_cancelled or self._attachment is not None:
                return
            queue = self._make_queue()
            if self._has_lost(queue.name):
                queue = self._make_queue()  # its owner may want another one now
            self._queue_name = queue.name
            if self._prepare is not None:
                self._prepare(queue)
            attachment = self._attach_to(queue, self._link.channel(timeout=0))
            if self._closed.is_set():  # the owner did not wait until now
                attachment.abandon()
                return
            self._attachment = attachment
            self._was_attached = True
        self._attached.set()
        if self._on_attached is not None:
            self._on_attached()

    def _has_lost(self, name: str) -> bool:
        """Tell the owner when the queue of the last attachment is gone.

        Return whether that is the queue of this name: another one has taken its place already.
        """
        if self._on_queue_lost is None or not self._was_attached:
            return False
        is_same = name == self._queue_name
        if is_same and queue_exists(self._link, name):
            return False
        self._on_queue_lost()
        return is_same

    def _attach_to(self, queue: kombu.Queue, channel: Any) -> Attachment:
        attachment = Attachment(channel, queue.name, self, acks_together=self._acks_together)
        try:
            declare(channel, queue)
            attachment.consume(self._prefetch)
        except ChannelError as exc:
            raise refused(queue, exc) from exc
        except (AMQPError, OSError) as exc:
            raise ConnectionLost(f"consuming {queue.name!r}: {exc}") from exc
        finally:
            # Also when a timeout or a kill was thrown into the wait for an answer.
            if not attachment.is_consuming:
                attachment.abandon()
        return attachment

    def handle(self, delivery: Delivery) -> None:
        """Hand a delivery over; the reader calls this."""
        for observe in self._observers.message_received:
            observe(delivery)
        try:
            self._handler(delivery)
        except Exception:  # the reader must go on, for all other consumers
            logger.error("the handler of queue %r failed", delivery.queue, exc_info=True)

    def acked(self, delivery: Delivery) -> None:
        """Tell the observers that a delivery is dealt with."""
        for observe in self._observers.message_acked:
            observe(delivery)

    def lost(self, attachment: Attachment, error: BaseException) -> None:
        """Attach again after a channel was lost; with its connection, the next one will call."""
        if attachment in self._retired:
            self._retired.remove(attachment)
        if attachment is not self._attachment:
            return
        self._detach()
        if isinstance(error, ChannelError):
            logger.error("the broker closed the channel of queue %r: %s", self._queue_name, error)
            call_soon(self._attach_again)

    def cancelled(self, attachment: Attachment) -> None:
        """Attach again after the broker cancelled a consumer."""
        if attachment is not self._attachment or self._is_cancelled:
            return
        logger.warning(
            "the broker cancelled the consumer of queue %r (was it deleted?); declaring and "
            "consuming it again",
            self._queue_name,
        )
        # What is running keeps its channel, and can ack; new deliveries come on another one.
        self._detach()
        if attachment.unsettled:
            self._retired.append(attachment)
        else:
            attachment.abandon()
        call_soon(self._attach_again)

    def settled_all(self, attachment: Attachment) -> None:
        """Let go of a channel that was only kept for its last deliveries."""
        if attachment in self._retired:
            self._retired.remove(attachment)
            attachment.abandon()

    def _connection_lost(self, error: BaseException) -> None:
        # Our own channels have told us before; those of other transports tell nobody.
        if self._attachment is not None:
            self._attachment.lose(error)

    def _detach(self) -> None:
        self._attachment = None
        if not self._is_cancelled:
            self._attached = Event()

    def _attach_again(self) -> None:
        if not self._is_attaching and not self._is_cancelled:
            self._is_attaching = True
            spawn(self._attach_until_done)

    def _attach_until_done(self) -> None:
        delay = FIRST_DELAY
        try:
            while not self._is_cancelled and not self._try_to_attach(delay):
                self._closed.wait(delay * random.uniform(0.5, 1))
                delay = min(delay * 2, LONGEST_DELAY)
        finally:
            self._is_attaching = False

    def _try_to_attach(self, delay: float) -> bool:
        """Attach; return whether that is done, or the next connection's business."""
        try:
            self._attach()
            return True
        except BrokerRefused as exc:
            logger.error("%s; trying again in about %.1f s", exc, delay)
            return False
        except BrokerError as exc:
            logger.debug("attaching to %r: %s", self._queue_name, exc)
            return not self._link.is_connected
        except Exception:  # a hook's bug must not end consuming
            logger.error("attaching to %r failed", self._queue_name, exc_info=True)
            return self.is_attached


def _remove(callbacks: list[Any], callback: Any) -> None:
    if callback in callbacks:
        callbacks.remove(callback)
