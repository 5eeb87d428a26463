"""One connection that the I/O thread uses, with what it has on it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError

from rpcnode.amqp.confirming import ConfirmChannel
from rpcnode.amqp.declaring import declare, is_there
from rpcnode.amqp.dialing import dial
from rpcnode.amqp.leaving import abandon
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import BrokerUnavailable, ConnectionLost
from rpcnode.standalone.connection import ThreadChannel, ThreadConnection, Transport

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0  # seconds for the broker's answer to a declaration
CONSUMER_TAG = "rpcnode-client"
CONNECTION_ERRORS = (OSError, AMQPError)


@dataclass(frozen=True)
class Plan:
    """What a connection of a client needs: its reply queue.

    `make_queue()` returns a new one, as a kombu entity; without it there is none. `last_queue` is
    that of the connection before, which is used again if it is still there.
    """

    make_queue: Callable[[], Any] | None = None
    last_queue: Any = None


class Session:
    """A connection, its reply consumer, and a confirming channel for each exchange.

    `broker` are the settings of the broker it goes to; `has_lost_replies` says that the last reply
    queue was not there any more, or on a node that is down, and with it all that was in it.
    """

    def __init__(self, broker: BrokerSettings, driver: ThreadConnection, plan: Plan) -> None:
        self.broker = broker
        self.driver = driver
        self.is_blocked = False
        self.has_lost_replies = False
        self.reply_queue: Any = plan.last_queue
        self._publishing: dict[str, ConfirmChannel] = {}
        self._replies: ThreadChannel | None = None
        self._unacked: int | None = None  # the last delivery that is still to be acknowledged

    @classmethod
    def open(cls, broker: BrokerSettings, plan: Plan) -> "Session":
        """Connect and declare; it takes as long as it takes.

        Raises BrokerUnavailable when another attempt may help, BrokerRefused and
        ConfigurationError when none will.
        """
        _transport, driver = dial(broker, _ignore, _ignore, Transport)
        session = cls(broker, driver, plan)
        driver.on_blocked, driver.on_unblocked = session.blocked, session.unblocked
        try:
            driver.transport.sock.settimeout(ANSWER_TIMEOUT)
            session._declare(plan)
        except CONNECTION_ERRORS as exc:
            driver.collect()
            raise BrokerUnavailable(f"lost the broker {broker.safe_uri}: {exc}") from exc
        except ConnectionLost as exc:
            driver.collect()
            raise BrokerUnavailable(f"lost the broker {broker.safe_uri}: {exc}") from exc
        except BaseException:
            driver.collect()
            raise
        return session

    def _declare(self, plan: Plan) -> None:
        if plan.make_queue is None:
            return
        last = plan.last_queue
        self.has_lost_replies = last is not None and not self._has_queue(last.name)
        if last is None or self.has_lost_replies:
            # Another one: the broker may know the name of the last still, on a node that is down.
            self.reply_queue = plan.make_queue()
        self._replies = self.driver.channel()
        declare(self._replies, self.reply_queue)

    def _has_queue(self, name: str) -> bool:
        channel = self.driver.channel()
        try:
            return is_there(channel, name)
        finally:
            abandon(channel)

    def begin(
        self, on_reply: Callable[[Delivery], object], on_replies_lost: Callable[[object], object]
    ) -> None:
        """Go over to the I/O thread, which calls all that follows."""
        self.driver.start_batching()
        if self._replies is None:
            return

        def receive(content: Any) -> None:
            self._unacked = content.delivery_tag
            on_reply(Delivery(content, self.reply_queue.name, _settle_later))

        self._replies.on_lost = on_replies_lost
        self._replies.on_cancelled = on_replies_lost
        self._replies.basic_consume(
            self.reply_queue.name, CONSUMER_TAG, callback=receive, no_ack=False, nowait=True
        )

    def blocked(self, reason: str) -> None:
        """Take note that the broker takes no messages."""
        self.is_blocked = True
        logger.warning("the broker %s blocks publishers: %s", self.broker.safe_uri, reason)

    def unblocked(self) -> None:
        """Take note that it takes messages again."""
        self.is_blocked = False
        logger.info("the broker %s takes messages again", self.broker.safe_uri)

    @property
    def reply_address(self) -> str:
        """Where replies are to go, the routing key of the queue; empty without one."""
        return "" if self.reply_queue is None else str(self.reply_queue.routing_key)

    @property
    def _consuming(self) -> ThreadChannel | None:
        """The channel of the reply consumer, as long as it is open."""
        replies = self._replies
        return None if replies is None or replies.connection is None else replies

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return self.driver.channels is not None

    @property
    def is_full(self) -> bool:
        """Whether there is something to send that the socket does not take now."""
        return self.is_open and bool(self.driver.transport.is_full)

    @property
    def unconfirmed(self) -> int:
        """How many messages await their confirm."""
        return sum(each.unconfirmed for each in self._publishing.values())

    def channel_for(self, name: str, entity: Any) -> ConfirmChannel | None:
        """Return the open channel for an exchange; None while it takes no messages.

        Each exchange has its own, because a bad message takes the channel with it. `entity` is
        declared on it first.
        """
        channel = self._publishing.get(name)
        if channel is None or not channel.is_open:
            channel = self._publishing[name] = self._open_channel(entity)
        return channel if channel.is_ready and not self.is_blocked else None

    def _open_channel(self, entity: Any) -> ConfirmChannel:
        channel = self.driver.channel()
        if entity is not None:
            entity(channel).declare(nowait=True)
        return ConfirmChannel(channel)

    def read(self) -> None:
        """Read what is there and hand it over; raise one of CONNECTION_ERRORS at the end."""
        driver = self.driver
        data = driver.transport.receive(driver.read_size)
        if data is not None:
            driver.feed(data)

    def flush(self) -> None:
        """Acknowledge what was received, and send as much as the socket takes."""
        if self._unacked is not None:
            if (replies := self._consuming) is not None:
                replies.basic_ack(self._unacked, multiple=True)
            self._unacked = None
        if self.is_open:
            self.driver.transport.flush()

    def beat(self) -> float | None:
        """Send a heartbeat if it is time; return the seconds until it should be called again.

        Raises one of CONNECTION_ERRORS when nothing was heard of the broker for too long.
        """
        self.driver.heartbeat_tick(rate=2)
        pause: float = self.driver.heartbeat / 4
        return pause or None

    def start_closing(self) -> None:
        """Delete the reply queue and close; `is_open` ends with the broker's answer."""
        replies = self._consuming
        if replies is None:
            self.driver.start_closing()
            return
        replies.on_lost = replies.on_cancelled = None
        replies.delete_queue(self.reply_queue.name, self.driver.start_closing)

    def discard(self) -> None:
        """Close a connection that was never used; whoever made it waits for that."""
        try:
            if self._replies is not None:
                self._replies.queue_delete(self.reply_queue.name)
            self.driver.close()
        except CONNECTION_ERRORS as exc:
            logger.debug("closing a connection that nobody wants any more: %s", exc)
            self.driver.collect()

    def lose(self, error: BaseException) -> None:
        """Let go of the connection; all that waits on its channels hears of it."""
        self.driver.fail_waiters(error)

    def forget(self) -> None:
        """Let go of the socket without a word: the parent process goes on using it."""
        if self.is_open:
            self.driver.transport.forget()


def _settle_later(_delivery: Delivery, _requeue: bool) -> None:
    """Do nothing: replies are acknowledged together, after each round."""


def _ignore(*_notice: object) -> None:
    """Stand in for a session that is not made yet."""
