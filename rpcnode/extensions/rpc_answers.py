"""What becomes of a request: a reply, confirmed and then acked, or a place in the dead queue."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rpcnode.amqp import naming
from rpcnode.amqp.copies import origin_of
from rpcnode.amqp.dead import Death
from rpcnode.amqp.message import PERSISTENT, TRANSIENT, Delivery, Outgoing
from rpcnode.exceptions import (
    BrokerUnavailable,
    PublishRejected,
    UndeliverableMessage,
    UnserializableValueError,
    serialize,
)
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.intake import Job
from rpcnode.serialization import Serializer

logger = logging.getLogger(__name__)

FORBIDDEN = "ACCESS_REFUSED"  # what RabbitMQ says when a user may not write to an exchange
DIRECT = ""  # the default exchange, whose routing keys are names of queues


def wants_reply(delivery: Delivery) -> bool:
    """Return whether anybody waits for the outcome of a request."""
    return bool(delivery.properties.get("reply_to"))


@dataclass(slots=True)
class Counts:
    """How many requests of a service ended in an unusual way.

    - `expired`: nobody waited any more, so that they were not run or their reply was given up;
    - `unclaimed`: the queue for their reply was gone;
    - `too_busy`: no worker was free and enough calls waited, so that they were answered so;
    - `put_aside`: casts in the same situation, which come again later;
    - `refused`: they may have run before, and their method must not run twice.
    """

    expired: int = 0
    unclaimed: int = 0
    too_busy: int = 0
    put_aside: int = 0
    refused: int = 0


class Answers:
    """Replies to requests, and acks them when the broker has the reply. It never blocks.

    Without a `reply_to` an error goes to the dead queue.
    """

    def __init__(self, container: Any, messaging: Messaging, exchange: str) -> None:
        self.counts = Counts()
        self._container = container
        self._messaging = messaging
        self._exchange = exchange
        self._mode = PERSISTENT if container.config["RPC_PERSISTENT"] else TRANSIENT
        self._replies_directly = True  # until the broker says that we may not

    def encode(self, properties: Mapping[str, Any], result: Any) -> bytes | None:
        """Return the reply that says `result`, None where nobody wants one.

        Raises UnserializableValueError when the result cannot be sent.
        """
        if not properties.get("reply_to"):
            return None
        try:
            return self._serializer(properties).encode({"result": result, "error": None})
        except UnserializableValueError as exc:
            raise UnserializableValueError(result) from exc.__cause__

    def reply_error(
        self,
        job: Job,
        label: str,
        error: BaseException,
        deadline: float | None = None,
        *,
        is_retryable: bool = False,
    ) -> None:
        """Reply that `label` (`service.method`) failed; see `RpcError.is_retryable`."""
        error_object = serialize(error)
        if is_retryable:
            error_object["retryable"] = True
        body = self._serializer(job.delivery.properties).encode(
            {"result": None, "error": error_object}
        )
        self.reply(job, label, body, deadline)

    def reply(self, job: Job, label: str, body: bytes, deadline: float | None) -> None:
        """Send a reply that is encoded, until the broker has it or `deadline` has passed."""
        properties = job.delivery.properties
        exchange, key = self._address(job.delivery)
        reply = self._messaging.outgoing_body(exchange, key, body, self._serializer(properties))
        reply.mandatory = True
        reply.properties["delivery_mode"] = self._mode
        if "correlation_id" in properties:
            reply.properties["correlation_id"] = properties["correlation_id"]
        job.is_answered = True
        self._post(job, label, reply, deadline)

    def bury(self, job: Job, label: str, reason: str, error: BaseException) -> None:
        """Copy a request to the dead queue, with the reason and the error, and ack it then."""
        queue = naming.dead_queue(job.delivery.queue)
        self._messaging.dead_letters.bury(job, queue, Death(reason, error, label))

    def _post(self, job: Job, label: str, reply: Outgoing, deadline: float | None) -> None:
        settle = partial(self._replied, job, label, reply, deadline)
        self._messaging.outbox.post(reply, settle, deadline)

    def _address(self, delivery: Delivery) -> tuple[str, str]:
        # Straight into the caller's queue, if its name can be told: through the topic exchange
        # a reply takes the broker a quarter longer.
        reply_to = delivery.properties["reply_to"]
        if self._replies_directly:
            queue = naming.reply_queue_of(delivery.properties.get("app_id"), reply_to)
            if queue is not None:
                return DIRECT, queue
        return self._exchange_for_reply(delivery), reply_to

    def _exchange_for_reply(self, delivery: Delivery) -> str:
        # The exchange that the request came through; for one that comes back from a dead queue
        # the RPC exchange. No other is taken from a header: publishing to one that does not
        # exist would close the channel.
        is_replayed = delivery.exchange == "" and origin_of(delivery)[0] == self._exchange
        return self._exchange if is_replayed else delivery.exchange

    def _replied(
        self,
        job: Job,
        label: str,
        reply: Outgoing,
        deadline: float | None,
        error: BaseException | None,
    ) -> None:
        # Called by a reader or the hub, when the broker has the reply, or never will.
        if error is None:
            job.ack()
            return
        if reply.exchange == DIRECT and self._may_go_otherwise(error):
            # The way that everyone knows: a stranger's queue may have any name.
            way = self._exchange_for_reply(job.delivery), job.delivery.properties["reply_to"]
            if way != (reply.exchange, reply.routing_key):  # else it would go round for ever
                reply.exchange, reply.routing_key = way
                self._post(job, label, reply, deadline)
                return
        if isinstance(error, PublishRejected) and not job.is_refused:
            job.is_refused = True
            logger.error("the broker refuses the reply of %s: %s", label, error)
            self.reply_error(job, label, PublishRejected(f"the reply of {label}: {error}"))
            return
        self._give_up(job, label, error)

    def _give_up(self, job: Job, label: str, error: BaseException) -> None:
        if isinstance(error, UndeliverableMessage):
            self.counts.unclaimed += 1
            logger.debug("the queue for the reply of %s is gone", label)
        elif isinstance(error, BrokerUnavailable) and self._container.is_stopping:
            logger.warning("the reply of %s is not confirmed; the call is delivered again", label)
            job.requeue()
            return
        else:
            self.counts.expired += 1
            logger.error("the reply of %s is given up: %s", label, error)
        job.ack()

    def _may_go_otherwise(self, error: BaseException) -> bool:
        """Return whether a reply may arrive through the exchange, if not straight."""
        if isinstance(error, PublishRejected) and FORBIDDEN in str(error):
            self._replies_directly = False
            return True
        return isinstance(error, UndeliverableMessage)

    def _serializer(self, properties: Mapping[str, Any]) -> Serializer:
        return self._messaging.serialization.for_reply(properties)
