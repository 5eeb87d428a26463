"""Publishing messages whose properties are encoded already, and waiting for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from rpcnode.amqp.confirms import ConfirmTable
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.outcomes import REJECTED, UNROUTABLE
from rpcnode.amqp.properties import decode_properties
from rpcnode.exceptions import PublishRejected, PublishTimeout, UndeliverableMessage

_HEADER_START = bytes((0, 60, *bytes(10)))  # what stands before the properties in a header frame

Outcomes = list[Exception | None]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message to publish, mandatory; `encoded` are its properties."""

    exchange: str
    routing_key: str
    encoded: bytes
    body: bytes


class ConfirmedSender:
    """Publishes on a RabbitMQ channel of its own.

    `drain(seconds)` takes what the broker sends next, within so many seconds.
    """

    def __init__(self, channel: Any, timeout: float, drain: Callable[[float], object]) -> None:
        self._channel = channel
        self._timeout = timeout
        self._drain = drain
        self._table = ConfirmTable()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._table.settle)
        channel.events["basic_nack"].add(self._refused)
        channel.events["basic_return"].add(self._returned)

    @property
    def is_open(self) -> bool:
        """Whether the broker has not closed the channel."""
        return self._channel.connection is not None

    def send(self, messages: Sequence[Encoded]) -> Outcomes:
        """Publish; return for each message None, or why the broker has it not.

        Raises PublishTimeout when it is left open which of them it has.
        """
        outcomes: Outcomes = [None] * len(messages)
        for number, message in enumerate(messages):
            self._send(message, partial(outcomes.__setitem__, number))
        deadline = monotonic() + self._timeout
        while len(self._table):
            left = deadline - monotonic()
            if left <= 0:
                raise PublishTimeout(
                    f"the broker did not confirm {len(self._table)} messages within "
                    f"{self._timeout:g} s"
                )
            self._drain(left)
        return outcomes

    def _send(self, message: Encoded, settle: Callable[[BaseException | None], object]) -> None:
        address = (message.exchange, message.routing_key)
        properties = {"message_id": _identity(address, message.encoded, message.body)}
        self._table.add(Outgoing(*address, b"", properties, mandatory=True), settle)
        self._channel.publish_encoded(address, message.encoded, message.body)

    def _refused(self, tag: int, multiple: bool) -> None:
        self._table.settle(tag, multiple, _rejected())

    def _returned(self, _reason: Any, exchange: str, routing_key: str, content: Any) -> None:
        address = (exchange, routing_key)
        identity = _identity(address, content.properties.encoded, content.body)
        pending = len(self._table)
        self._table.settle_returned(identity, _unroutable(*address))
        if len(self._table) == pending:
            # The broker was told to change what passes through it. Its ack follows, and must not
            # be taken for a yes, whichever message it is for.
            self._table.settle_all(lambda _message: _unroutable(*address))


class ImmediateSender:
    """Publishes on a channel of the embedded broker, which tells the outcome at once."""

    is_open = False  # it is made anew each time

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def send(self, messages: Sequence[Encoded]) -> Outcomes:
        """Publish; return for each message None, or why the broker has it not."""
        try:
            return [self._send(message) for message in messages]
        finally:
            self._channel.close()

    def _send(self, message: Encoded) -> Exception | None:
        properties = decode_properties(_HEADER_START + message.encoded)
        prepared = self._channel.prepare_message(
            message.body,
            properties.pop("priority", None),
            properties.pop("content_type", None),
            properties.pop("content_encoding", None),
            properties.pop("application_headers", None),
            properties,
        )
        address = (message.exchange, message.routing_key)
        outcome = self._channel.basic_publish(prepared, *address)
        if outcome == UNROUTABLE:
            return _unroutable(*address)
        return _rejected() if outcome == REJECTED else None


def _identity(address: tuple[str, str], encoded: bytes, body: bytes) -> str:
    # A returned message comes with nothing but itself. Ids of messages would not do: two that
    # are to go different ways may have the same.
    return str(hash((address, encoded, body)))


def _rejected() -> PublishRejected:
    return PublishRejected("the broker refused the message: is the queue full?")


def _unroutable(exchange: str, routing_key: str) -> UndeliverableMessage:
    if exchange == "":
        return UndeliverableMessage(f"there is no queue {routing_key!r}")
    return UndeliverableMessage(
        f"no queue takes messages for exchange {exchange!r}, routing key {routing_key!r}"
    )
