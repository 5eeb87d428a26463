"""A channel to the embedded broker, with the methods, messages and errors of py-amqp's."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from amqp.exceptions import (
    AMQPNotImplementedError,
    ChannelError,
    ConsumerCancelled,
    FrameSyntaxError,
    MessageNacked,
    NoConsumers,
    NotFound,
    RecoverableConnectionError,
)
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.protocol import queue_declare_ok_t
from kombu.transport import base
from kombu.transport.pyamqp import Message as KombuMessage

from rpcnode.amqp.membroker import Broker
from rpcnode.amqp.memexchange import ExchangeOptions
from rpcnode.amqp.memmessage import Delivered, encodable, prepared
from rpcnode.amqp.mempeer import Peer, Session
from rpcnode.amqp.memqueue import Consumer, Entry, Message, QueueOptions
from rpcnode.amqp.outcomes import REJECTED, UNROUTABLE

Method = TypeVar("Method", bound=Callable[..., Any])


def _amqp_method(name: str) -> Callable[[Method], Method]:
    """Give a channel's method AMQP's name, and AMQP's consequences of an error."""

    def decorate(function: Method) -> Method:
        @functools.wraps(function)
        def call(self: "Channel", *args: Any, **options: Any) -> Any:
            if self.closed:
                raise RecoverableConnectionError("the channel is closed")
            try:
                return function(self, *args, **options)
            except ChannelError as exc:
                exc.method_name = name
                self.fail(exc)
                raise
            except FrameSyntaxError:
                raise  # found before anything was sent
            except AmqpConnectionError as exc:
                exc.method_name = name
                self.connection.fail(exc)
                raise

        return call  # type: ignore[return-value]  # the same signature

    return decorate


class Channel(base.StdChannel):  # type: ignore[misc]  # kombu is untyped
    """A channel, with the methods of py-amqp's.

    The reader calls `on_cancelled(tag)` when the broker cancels a consumer and `on_lost(exc)`
    when the broker closes the channel or its connection is lost.
    """

    on_cancelled: Callable[[str], object] | None = None
    on_lost: Callable[[BaseException], object] | None = None

    def __init__(self, connection: Any, channel_id: int) -> None:
        self.connection = connection
        self.channel_id = channel_id
        self.closed = False
        self.events: dict[str, set[Callable[..., object]]] = {"basic_return": set()}
        self._callbacks: dict[str, Callable[[Any], object]] = {}
        self._cancel_callbacks: dict[str, Callable[[str], object]] = {}
        self._peer: Peer = connection.peer
        self._broker: Broker = connection.peer.broker
        self._session = _ChannelSession(self)
        self._last_queue = ""

    def close(self) -> None:
        """Close: the broker takes back what was not acknowledged."""
        if not self.closed:
            self.connection.channels.pop(self.channel_id, None)
            self._session.close()
            self.detach()

    collect = close

    def fail(self, error: ChannelError) -> None:
        """Close because of an error; the reader calls `on_lost`."""
        peer = self._peer
        self.close()
        peer.notify(lambda: self.announce_loss(error))

    def detach(self) -> None:
        """Become unusable."""
        self.closed = True
        self.connection = None

    def announce_loss(self, error: BaseException) -> None:
        """Call `on_lost`; the reader does."""
        if self.on_lost is not None:
            self.on_lost(error)

    def prepare_message(
        self,
        body: Any,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> Message:
        """Return a message that shares nothing with its publisher.

        Raises what py-amqp raises for what AMQP cannot carry.
        """
        given = {
            **(properties or {}),
            "content_type": content_type,
            "content_encoding": content_encoding,
            "priority": priority,
        }
        return prepared(body, given, headers)

    def message_to_python(self, raw_message: Delivered) -> Any:
        """Return kombu's message for a delivered one."""
        return KombuMessage(raw_message, channel=self)

    def prepare_queue_arguments(self, arguments: Any, **options: Any) -> Any:
        """Return the queue arguments for kombu's options."""
        return base.to_rabbitmq_queue_arguments(arguments, **options)

    @_amqp_method("Exchange.declare")
    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",  # noqa: A002 - kombu's name for it
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Make an exchange, or check (`passive`) that it is there."""
        options = ExchangeOptions(type, bool(durable), bool(auto_delete), encodable(arguments))
        self._broker.declare_exchange(exchange, options, passive=passive)

    @_amqp_method("Exchange.delete")
    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Remove an exchange; a missing one is no error."""
        self._broker.delete_exchange(exchange, if_unused=if_unused)

    @_amqp_method("Exchange.bind")
    def exchange_bind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Let `source` send messages to the exchange `destination`."""
        self._broker.bind_exchange(source, destination, routing_key, encodable(arguments))

    @_amqp_method("Exchange.unbind")
    def exchange_unbind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Remove a binding between exchanges."""
        self._broker.unbind_exchange(source, destination, routing_key, encodable(arguments))

    @_amqp_method("Queue.declare")
    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> queue_declare_ok_t:
        """Make a queue, or check (`passive`) that it is there; an empty name gets one."""
        options = QueueOptions(
            bool(durable), bool(exclusive), bool(auto_delete), encodable(arguments)
        )
        name = self._named(queue) if passive else queue
        found = self._broker.declare_queue(name, options, self._peer, passive=passive)
        self._last_queue = found.name
        return queue_declare_ok_t(found.name, len(found.ready), len(found.consumers))

    @_amqp_method("Queue.delete")
    def queue_delete(
        self, queue: str = "", if_unused: bool = False, if_empty: bool = False, nowait: bool = False
    ) -> int:
        """Remove a queue; return how many messages it had. A missing one is no error."""
        return self._broker.delete_queue(
            self._named(queue), self._peer, if_unused=if_unused, if_empty=if_empty
        )

    @_amqp_method("Queue.purge")
    def queue_purge(self, queue: str = "", nowait: bool = False) -> int:
        """Drop what is ready in a queue; return how much that was."""
        return self._broker.queue(self._named(queue), self._peer).purge()

    @_amqp_method("Queue.bind")
    def queue_bind(
        self,
        queue: str,
        exchange: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Let an exchange send messages to a queue."""
        target = self._broker.queue(self._named(queue), self._peer)
        self._broker.bind_queue(exchange, target, routing_key, encodable(arguments))

    @_amqp_method("Queue.unbind")
    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Remove a queue's binding; a missing one is no error."""
        self._broker.unbind_queue(
            exchange, self._named(queue), routing_key, encodable(arguments), self._peer
        )

    @_amqp_method("Basic.publish")
    def basic_publish(
        self,
        message: Message,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        **_options: Any,
    ) -> str:
        """Publish what `prepare_message` made; return ROUTED, UNROUTABLE or REJECTED."""
        if immediate:
            raise AMQPNotImplementedError("NOT_IMPLEMENTED - immediate=true")
        sent = Message(message.body, message.properties, message.headers, exchange, routing_key)
        outcome = self._broker.publish(sent)
        if outcome == UNROUTABLE and mandatory and self.events["basic_return"]:
            self._peer.notify(lambda: self._returned(sent))
        return outcome

    def confirm_select(self, nowait: bool = False) -> None:
        """Do nothing: what became of a message is known when `basic_publish` returns."""

    def basic_publish_confirm(self, *args: Any, **options: Any) -> str:
        """Publish; raise MessageNacked when a queue refuses the message."""
        outcome: str = self.basic_publish(*args, **options)
        if outcome == REJECTED:
            raise MessageNacked
        return outcome

    @_amqp_method("Tx.select")
    def tx_select(self) -> None:
        """Refuse: there are no transactions."""
        # AMQP's code 540, as a broker without transactions answers; confirms take their place.
        raise AMQPNotImplementedError("NOT_IMPLEMENTED - the embedded broker: transactions")

    @_amqp_method("Basic.qos")
    def basic_qos(
        self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False
    ) -> None:
        """Set the prefetch of the consumers that are made from now on; 0 is unlimited."""
        if prefetch_size:
            raise AMQPNotImplementedError(f"NOT_IMPLEMENTED - prefetch_size!=0 ({prefetch_size})")
        if a_global:
            raise AMQPNotImplementedError("NOT_IMPLEMENTED - the embedded broker: global qos")
        self._session.prefetch = prefetch_count

    @_amqp_method("Basic.consume")
    def basic_consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        nowait: bool = False,
        callback: Callable[[Any], object] | None = None,
        arguments: dict[str, Any] | None = None,
        on_cancel: Callable[[str], object] | None = None,
    ) -> str:
        """Call `callback` with what the queue has, from the reader; return the consumer tag."""
        consumer = self._session.consume(
            self._named(queue), consumer_tag, no_ack=bool(no_ack), exclusive=bool(exclusive)
        )
        self._callbacks[consumer.tag] = callback or _ignore
        if on_cancel is not None:
            self._cancel_callbacks[consumer.tag] = on_cancel
        return consumer.tag

    @_amqp_method("Basic.cancel")
    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        """Stop deliveries to a consumer at once; a missing one is no error."""
        self._session.cancel(consumer_tag)
        self._forget(consumer_tag)

    @_amqp_method("Basic.get")
    def basic_get(self, queue: str = "", no_ack: bool = False) -> Delivered | None:
        """Return one message of a queue, or None."""
        found = self._session.get(self._named(queue), no_ack=bool(no_ack))
        if found is None:
            return None
        tag, entry, source = found
        delivered = Delivered(self, entry, tag)
        delivered.delivery_info["message_count"] = len(source.ready)
        return delivered

    @_amqp_method("Basic.ack")
    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Say that a delivery, or all up to it, is dealt with."""
        self._session.ack(delivery_tag, multiple=multiple)

    @_amqp_method("Basic.reject")
    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Give a delivery back to its queue, or let it die."""
        self._session.reject(delivery_tag, multiple=False, requeue=requeue)

    @_amqp_method("Basic.nack")
    def basic_nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True) -> None:
        """Give a delivery, or all up to it, back to the queue, or let it die."""
        self._session.reject(delivery_tag, multiple=multiple, requeue=requeue)

    @_amqp_method("Basic.recover")
    def basic_recover(self, requeue: bool = False) -> None:
        """Give back all that was delivered on this channel and is not acknowledged."""
        if not requeue:
            raise AMQPNotImplementedError("NOT_IMPLEMENTED - requeue=false")
        self._session.recover()

    def hand_over(self, consumer: Consumer, entry: Entry) -> None:
        """Call the consumer's callback; the reader does."""
        callback = self._callbacks.get(consumer.tag, _ignore)
        tag = self._session.hand_over(consumer, entry)
        delivered = Delivered(self, entry, tag)
        delivered.delivery_info["consumer_tag"] = consumer.tag
        callback(delivered)

    def consumer_lost(self, tag: str) -> None:
        """Tell whoever wants to know that the broker cancelled a consumer; the reader does."""
        on_cancel = self._cancel_callbacks.get(tag) or self.on_cancelled
        self._forget(tag)
        if self.closed:
            return
        if on_cancel is None:
            raise ConsumerCancelled(tag, (60, 30))
        on_cancel(tag)

    def _named(self, queue: str) -> str:
        """Return the name of a queue: an empty one means the last that was declared here."""
        if queue or self._last_queue:
            return queue or self._last_queue
        raise NotFound("NOT_FOUND - no previously declared queue")

    def _forget(self, tag: str) -> None:
        self._callbacks.pop(tag, None)
        self._cancel_callbacks.pop(tag, None)

    def _returned(self, message: Message) -> None:
        error = NoConsumers("NO_ROUTE", (60, 50), reply_code=312)
        content = Delivered(self, Entry(message, 0, None), 0)
        for callback in list(self.events["basic_return"]):
            callback(error, message.exchange, message.routing_key, content)


class _ChannelSession(Session):
    """A session that knows its channel."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.connection.peer, channel.consumer_lost)
        self.channel = channel


def _ignore(_delivered: Any) -> None:
    """Take a delivery that nobody listens for; it stays unacknowledged."""
