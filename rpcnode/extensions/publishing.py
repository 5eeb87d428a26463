"""Publishing from a worker: the options of a message, and how it leaves."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from rpcnode.amqp.message import Outgoing
from rpcnode.context import WorkerContext
from rpcnode.exceptions import BrokerUnavailable, PublishRejected
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.postponed import postpone
from rpcnode.proxies import UNSET
from rpcnode.publish_options import PublishOptions
from rpcnode.serialization import compress


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes."""

    exchange: str
    routing_key: str


def publish(
    messaging: Messaging,
    worker_ctx: WorkerContext,
    address: Address,
    payload: Any,
    options: PublishOptions,
) -> None:
    """Publish from a worker, with its context data; return when the broker has the message.

    With `after_success` it returns at once, and the broker has the message before what fired the
    worker is answered or acked; an error of that moment is the worker's.

    Raises UnserializableValueError, UnserializableHeader, PublishRejected (nothing was sent, or
    the broker refused it), BrokerUnavailable (nothing was sent in time), PublishTimeout and
    ConnectionLost (the outcome is unknown), UndeliverableMessage (mandatory, and no queue).
    """
    if not isinstance(address.routing_key, str):
        raise PublishRejected(f"a routing key must be a text, not {address.routing_key!r}")
    message = _message(messaging, address, payload, options)
    message.headers.update(messaging.headers_of(worker_ctx))
    message.headers.update(options.headers)
    timeout = messaging.publish_timeout if options.timeout is UNSET else options.timeout
    if options.after_success:
        # The deadline is over for a method that has returned: what it did is to be told.
        postpone(worker_ctx, partial(messaging.send, message, timeout, options.delay))
        return
    remaining = worker_ctx.remaining()
    if remaining is not None:
        timeout = remaining if timeout is None else min(timeout, remaining)
    if timeout is not None and timeout <= 0:
        raise BrokerUnavailable("there is no time left to publish, so nothing was sent")
    messaging.send(message, timeout, options.delay)


def _message(
    messaging: Messaging, address: Address, payload: Any, options: PublishOptions
) -> Outgoing:
    serializer = messaging.serialization.named(options.serializer)
    message = messaging.outgoing(address.exchange, address.routing_key, payload, serializer)
    message.mandatory = options.mandatory
    message.properties.update(options.properties())
    if options.compression is not None:
        message.body, kind = compress(message.body, options.compression)
        message.headers["compression"] = kind
    return message
