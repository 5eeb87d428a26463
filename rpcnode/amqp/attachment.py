"""One channel that consumes, and its deliveries until they are settled."""

import itertools
import logging
from typing import Any, Protocol

from amqp.exceptions import AMQPError

from rpcnode.amqp.leaving import abandon, quietly
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.plain import PlainMessage, is_plain
from rpcnode.concurrency import Timeout, call_later
from rpcnode.exceptions import ConnectionLost

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0  # seconds for the broker's answer to a goodbye
ACK_DELAY = 0.05  # seconds that an ack waits for others to go with it
MOST_TOGETHER = 100  # acks that wait
MOST_PREFETCHED = 65_535  # AMQP has two bytes for it
LARGEST_TOGETHER = 65_536  # bytes of a body that its ack may keep in memory, here and there
_tags = itertools.count(1)  # consumer tags must differ within a channel only; this is for logs


class Owner(Protocol):
    """What an attachment tells its consumer; the reader calls all of it."""

    def handle(self, delivery: Delivery) -> None:
        """Take a delivery."""

    def acked(self, delivery: Delivery) -> None:
        """Hear that a delivery is dealt with."""

    def lost(self, attachment: "Attachment", error: BaseException) -> None:
        """Hear that the channel is gone."""

    def cancelled(self, attachment: "Attachment") -> None:
        """Hear that the broker sends nothing any more."""

    def settled_all(self, attachment: "Attachment") -> None:
        """Hear that nothing is open on a channel that gets nothing any more."""


class Attachment:
    """One channel that consumes, until it is lost or closed.

    With `acks_together`, one ack on the wire stands for all of `ACK_DELAY` seconds: for owners
    that ack each delivery before the next, and have no use for a prefetch. It spares client and
    broker a packet for each delivery when these come one at a time.
    """

    __slots__ = (
        *("channel", "is_consuming", "is_lost", "owner", "queue_name", "tag", "unsettled"),
        *("_acked", "_acks_together"),
    )

    def __init__(
        self, channel: Any, queue_name: str, owner: Owner, *, acks_together: bool = False
    ) -> None:
        # Kombu's other transports know no ack of several deliveries.
        self._acks_together = acks_together and not is_plain(channel)
        self._acked: list[Delivery] = []
        self.channel = channel
        self.queue_name = queue_name
        self.owner = owner
        self.tag = f"rpcnode-{next(_tags)}"
        self.is_consuming = False
        self.is_lost = False
        self.unsettled = 0

    def consume(self, prefetch: int) -> None:
        """Begin; deliveries may arrive before this returns."""
        channel = self.channel
        if prefetch:
            channel.basic_qos(0, min(prefetch, MOST_PREFETCHED), False)
        channel.on_lost = self.lose
        channel.on_cancelled = self._cancelled
        self.is_consuming = True
        try:
            channel.basic_consume(
                self.queue_name,
                consumer_tag=self.tag,
                no_ack=False,
                callback=self._receive_plain if is_plain(channel) else self._receive,
            )
        except BaseException:
            self.is_consuming = False
            raise
        if self.is_lost or not self.is_consuming:
            self.is_consuming = False
            raise ConnectionLost(f"the consumer of queue {self.queue_name!r} is gone already")

    def cancel(self) -> None:
        """Ask for no more deliveries, and wait until none can come."""
        if self.is_consuming and not self.is_lost:
            self.is_consuming = False
            quietly(self.channel.basic_cancel, self.tag)
            self._ack_together()

    def close(self) -> None:
        """Close the channel and wait until the broker has done so."""
        self.is_lost = True
        self.channel.on_lost = None
        with Timeout(ANSWER_TIMEOUT, False):
            quietly(self.channel.close)

    def abandon(self) -> None:
        """Close the channel without waiting."""
        self.is_lost = True
        self.channel.on_lost = None
        abandon(self.channel)

    def lose(self, error: BaseException) -> None:
        """Take note that the channel is gone, and its deliveries with it."""
        if not self.is_lost:
            self.is_lost = True
            self.owner.lost(self, error)

    def _cancelled(self, _tag: str) -> None:
        self.is_consuming = False
        self.owner.cancelled(self)

    def _receive(self, message: Any) -> None:
        self.unsettled += 1
        settle = self._settle_together if self._acks_together else self._settle
        self.owner.handle(Delivery(message, self.queue_name, settle))

    def _receive_plain(self, message: Any) -> None:
        self._receive(PlainMessage(message))

    def _settle(self, delivery: Delivery, requeue: bool) -> None:
        if self.is_lost:
            # The broker has it again already.
            logger.debug("not acking %s of an older channel", delivery.id)
            return
        self.unsettled -= 1
        try:
            if requeue:
                self.channel.basic_reject(delivery.tag, True)
            else:
                self.channel.basic_ack(delivery.tag)
        except (AMQPError, OSError) as exc:
            logger.debug("not acking %s: %s", delivery.id, exc)
            return
        if not requeue:
            self.owner.acked(delivery)
        if not self.unsettled and not self.is_consuming:
            self.owner.settled_all(self)

    def _settle_together(self, delivery: Delivery, requeue: bool) -> None:
        if requeue:
            self._settle(delivery, requeue)
            return
        if not self._acked:
            call_later(ACK_DELAY, self._ack_together)
        self._acked.append(delivery)
        if len(self._acked) == MOST_TOGETHER or len(delivery.body) > LARGEST_TOGETHER:
            self._ack_together()

    def _ack_together(self) -> None:
        acked, self._acked = self._acked, []
        if not acked or self.is_lost:
            return  # done, or the broker has them again already
        self.unsettled -= len(acked)
        try:
            self.channel.basic_ack(acked[-1].tag, True)
        except (AMQPError, OSError) as exc:
            logger.debug("not acking %d deliveries: %s", len(acked), exc)
            return
        for delivery in acked:
            self.owner.acked(delivery)
        if not self.unsettled and not self.is_consuming:
            self.owner.settled_all(self)
