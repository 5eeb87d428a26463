"""Channels that tell what became of each message."""

from functools import partial
from struct import Struct
from time import monotonic
from typing import Any

from amqp import spec
from amqp.exceptions import AMQPError, ChannelError

from rpcnode.amqp.batches import HIGH_WATER
from rpcnode.amqp.codec import METHOD_FRAME
from rpcnode.amqp.confirms import ConfirmTable, Settle
from rpcnode.amqp.leaving import abandon
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.outcomes import REJECTED, UNROUTABLE
from rpcnode.amqp.unencodable import ENCODING_ERRORS, encoding_error
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    UndeliverableMessage,
)

# A message's first frame: kind, channel, size, and class and method as one number.
_METHOD_HEAD = Struct(">BHII")
LONG_ENOUGH = 0.5  # seconds that a channel is used at least
_PUBLISH = spec.Basic.Publish[0] << 16 | spec.Basic.Publish[1]


class ConfirmChannel:
    """A RabbitMQ channel in confirm mode.

    One on which the broker refused a message takes no more of them, and closes once the last one
    is confirmed: RabbitMQ's channels remember where the leader of a quorum queue was at their
    first message, and refuse all others while that node is down (measured with 3.10; a new
    channel finds the new leader). `LONG_ENOUGH` keeps a full queue from costing a channel for
    each message.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._number: int = channel.channel_id
        self._socket = channel.connection.transport
        self._table = ConfirmTable()
        self._opened = monotonic()
        self._is_retired = False
        channel.on_lost = self._lost
        try:
            channel.confirm_select()
        except BaseException:  # also a timeout or a kill, while waiting for the answer
            channel.start_closing()
            raise
        channel.events["basic_ack"].add(self._table.settle)
        channel.events["basic_nack"].add(self._nacked)
        channel.events["basic_return"].add(self._returned)

    @property
    def is_open(self) -> bool:
        """Whether messages can be written."""
        return self._channel.connection is not None and not self._is_retired

    @property
    def is_ready(self) -> bool:
        """Whether messages can be written, and none need wait."""
        is_open = self._channel.connection is not None and not self._is_retired
        return is_open and bool(self._socket.outgoing_size <= HIGH_WATER)

    @property
    def unconfirmed(self) -> int:
        """How many messages await their confirm."""
        return len(self._table)

    def wait_for_room(self, timeout: float | None) -> bool:
        """Wait while too much is to be sent; return False when that took too long."""
        connection = self._channel.connection
        return connection is None or bool(connection.wait_for_room(timeout))

    def send(self, message: Outgoing, settle: Settle) -> None:
        """Write `message`; `settle` is called once with None or the error, and must not block."""
        if self._channel.connection is None:
            raise BrokerUnavailable("the publishing channel is closed")
        self._channel.publish(message)
        self._table.add(message, settle)

    def close(self) -> None:
        """Close the channel; what is unconfirmed is settled as lost."""
        self._channel.on_lost = None
        try:
            self._channel.close()
        finally:
            error = ConnectionLost("the publishing channel was closed")
            self._table.settle_all(lambda _message: error)

    def _nacked(self, tag: int, multiple: bool) -> None:
        # First, so that who publishes again at once does so on another channel.
        if monotonic() - self._opened > LONG_ENOUGH and not self._is_retired:
            self._is_retired = True
            self._channel.events["basic_ack"] = {self._acked_last}
        self._table.settle(tag, multiple, PublishRejected("the broker refused the message"))
        self._close_if_done()

    def _acked_last(self, tag: int, multiple: bool) -> None:
        self._table.settle(tag, multiple)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_retired and not self._table and self._channel.connection is not None:
            self._channel.on_lost = None
            abandon(self._channel)

    def _returned(self, _error: Any, exchange: str, routing_key: str, message: Any) -> None:
        self._table.settle_returned(
            message.properties.get("message_id", ""), _unroutable(exchange, routing_key)
        )

    def _lost(self, cause: BaseException) -> None:
        if not isinstance(cause, ChannelError):
            error = BrokerUnavailable(f"the connection was lost before the message: {cause}")
            self._table.settle_last(_count_publishes(self._socket.unsent(), self._number), error)
        self._socket = None  # it keeps what was not sent in memory
        self._table.settle_all(partial(_loss, cause, len(self._table) == 1))


def _count_publishes(written: list[bytes], channel_number: int) -> int:
    """Return how many messages for a channel are in what was written, piece by piece."""
    heads = [
        _METHOD_HEAD.unpack_from(piece) for piece in written if len(piece) >= _METHOD_HEAD.size
    ]
    return sum(
        kind == METHOD_FRAME and number == channel_number and method == _PUBLISH
        for kind, number, _size, method in heads
    )


def _loss(cause: BaseException, is_alone: bool, message: Outgoing) -> Exception:
    """Return the error for a message that was unconfirmed when its channel was lost.

    A message that is refused for itself (nobody declared its exchange) takes the channel with
    it: what became of the others is unknown. All have the broker's error as their cause,
    because its text may be cut, and then the culprit is among the others.
    """
    if not isinstance(cause, ChannelError) or cause.method_sig != spec.Basic.Publish:
        unknown = ConnectionLost(f"the broker did not confirm: {cause}")
        unknown.__cause__ = cause
        return unknown
    text = str(cause)
    if is_alone or f"exchange '{message.exchange or 'amq.default'}'" in text:
        error = PublishRejected(
            f"the broker refused a message for exchange {message.exchange!r}, "
            f"routing key {message.routing_key!r}: {cause}"
        )
        error.__cause__ = cause
        return error
    if "exchange '" in text:
        lost = ConnectionLost(f"another message closed the channel: {cause}")
        lost.__cause__ = cause
        return lost
    return PublishRejected(f"the broker refused a message of this channel: {cause}")


class PlainChannel:
    """A channel of another kombu transport: what was published counts as taken."""

    unconfirmed = 0

    def __init__(self, channel: Any, is_embedded: bool) -> None:
        self._channel = channel
        self._options = {"mandatory": True} if is_embedded else {}

    @property
    def is_open(self) -> bool:
        """Whether messages can be written."""
        return not getattr(self._channel, "closed", False)

    @property
    def is_ready(self) -> bool:
        """Whether messages can be written; there is always room."""
        return self.is_open

    def wait_for_room(self, _timeout: float | None) -> bool:
        """Return True: there is always room."""
        return True

    def send(self, message: Outgoing, settle: Settle) -> None:
        """Publish `message` and settle it."""
        prepared = self._prepare(message)
        options = self._options if message.mandatory else {}
        try:
            outcome = self._channel.basic_publish(
                prepared, exchange=message.exchange, routing_key=message.routing_key, **options
            )
        except ChannelError as exc:
            raise PublishRejected(
                f"the broker refused a message for exchange {message.exchange!r}: {exc}"
            ) from exc
        except (AMQPError, OSError) as exc:
            raise BrokerUnavailable(f"the publishing channel is closed: {exc}") from exc
        settle(self._error(message, outcome))

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def _prepare(self, message: Outgoing) -> Any:
        properties = dict(message.properties)
        try:
            return self._channel.prepare_message(
                message.body,
                properties.pop("priority", None),
                properties.pop("content_type", None),
                properties.pop("content_encoding", None),
                message.headers,
                properties,
            )
        except ENCODING_ERRORS as exc:
            raise encoding_error(message, exc) from exc

    def _error(self, message: Outgoing, outcome: Any) -> Exception | None:
        if outcome == UNROUTABLE and message.mandatory:
            return _unroutable(message.exchange, message.routing_key)
        if outcome == REJECTED:
            return PublishRejected("the broker refused the message")
        return None


def _unroutable(exchange: str, routing_key: str) -> UndeliverableMessage:
    return UndeliverableMessage(
        f"no queue takes messages for exchange {exchange!r}, routing key {routing_key!r}"
    )
