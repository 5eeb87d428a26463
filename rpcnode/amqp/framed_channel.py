"""AMQP channels without I/O: what becomes of the methods of the broker."""

import logging
from collections.abc import Callable
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import error_for_code
from kombu.transport import pyamqp

from rpcnode.amqp.content import Content
from rpcnode.amqp.message import Outgoing

logger = logging.getLogger(__name__)


class FramedChannel(pyamqp.Channel):  # type: ignore[misc]  # kombu is untyped
    """A channel of a `FramedConnection`.

    `on_lost(exc)` is called when the broker closes it or its connection is lost,
    `on_cancelled(tag)` when the broker cancels a consumer; both by who reads, so they must
    not block.
    """

    on_lost: Callable[[BaseException], object] | None = None
    on_cancelled: Callable[[str], object] | None = None
    is_closing: bool

    def __init__(self, connection: Any, channel_id: Any = None, **options: Any) -> None:
        options["auto_decode"] = False
        self._codec = connection.codec
        super().__init__(connection, channel_id, **options)

    def basic_consume(
        self, queue: str = "", consumer_tag: str = "", callback: Any = None, **options: Any
    ) -> Any:
        """Start consuming; the callback is known before the first delivery can arrive."""
        self.callbacks[consumer_tag] = callback
        return super().basic_consume(queue, consumer_tag, callback=callback, **options)

    def dispatch_method(self, method: Any, payload: bytes, content: Any) -> None:
        """Hand a method of the broker over; the reader calls this."""
        if method == spec.Basic.Deliver:
            content.delivery_info = self._codec.read_deliver(payload)
            self.deliver(content)
        elif method == spec.Basic.Ack:
            self._on_basic_ack(*self._codec.read_ack(payload))
        elif not self.is_closing or method in self._ALLOWED_METHODS_WHEN_CLOSING:
            super().dispatch_method(method, payload, content)

    def deliver(self, content: Content) -> None:
        """Hand a delivery to its consumer; the reader calls this."""
        if self.is_closing:
            return  # the broker takes everything back
        info = content.delivery_info
        callback = self.callbacks.get(info["consumer_tag"])
        if callback is None and not self.is_open:
            return  # it was for a channel of the same number, which the broker has closed
        if callback is None:
            logger.debug(
                "a delivery for consumer %s, which is gone, goes back", info["consumer_tag"]
            )
            self.basic_reject(info["delivery_tag"], True)
            return
        content.channel = self
        callback(content)

    def publish(self, message: Outgoing) -> None:
        """Append a message to what is sent next; see `rpcnode.amqp.codec.write_publish`."""
        self._codec.write_publish(self, message)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Say that a delivery, or all up to it, is dealt with."""
        self._codec.write_ack(self, delivery_tag, multiple)

    def start_closing(self) -> bool:
        """Ask the broker to close, without waiting; return whether there was anything to ask."""
        if self.connection is None or self.is_closing:
            return False
        self.on_lost = self.on_cancelled = None
        self.is_closing = True
        self.send_method(spec.Channel.Close, "BsBB", (0, "", 0, 0))
        return True

    def fail_waiters(self, _error: BaseException) -> bool:
        """Wake those who wait for an answer; return whether there were any."""
        return False

    def _on_close(self, code: int, text: str, class_id: int, method_id: int) -> None:
        # py-amqp would open the channel anew here, inside the reader, without its consumers.
        self.send_method(spec.Channel.CloseOk)
        self.connection.closed_by_broker.add(self.channel_id)
        if self.is_closing:
            return  # our own Close has crossed this one, and will be answered
        error = error_for_code(code, text, (class_id, method_id), amqp.ChannelError)
        on_lost = self.on_lost
        self.collect()
        was_awaited = self.fail_waiters(error)
        if on_lost is not None:
            on_lost(error)
        elif not was_awaited:
            logger.error("the broker closed a channel: %s", error)

    def _on_basic_cancel(self, consumer_tag: str) -> None:
        self._remove_tag(consumer_tag)
        if self.on_cancelled is not None:
            self.on_cancelled(consumer_tag)


class _Gone:
    """Takes what still comes on a channel that the broker has closed.

    RabbitMQ's Close overtakes deliveries that it has in its buffers.
    """

    def dispatch_method(self, *_method: Any) -> None:
        """Drop it."""

    def deliver(self, _content: Content) -> None:
        """Drop it: the broker gives it to somebody else."""


GONE = _Gone()
