"""The called side of RPC: requests come in, methods are fired, replies go out."""

import logging
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any, Self

from rpcnode.amqp import naming
from rpcnode.amqp.dead import EXHAUSTED, INVALID, UNDECODABLE, Death, origin_of
from rpcnode.amqp.entities import rpc_exchange, rpc_queue
from rpcnode.amqp.message import PERSISTENT, TRANSIENT, Delivery, Outgoing
from rpcnode.context import ExcInfo, WorkerContext, deadline_from_headers
from rpcnode.exceptions import (
    BadRequest,
    BrokerUnavailable,
    MalformedRequest,
    MethodNotFound,
    PublishRejected,
    RpcTimeout,
    UndecodableMessage,
    UndeliverableMessage,
    UnserializableValueError,
)
from rpcnode.extensions.base import Entrypoint, SharedExtension
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.intake import Job
from rpcnode.serialization import Serializer, serialize

logger = logging.getLogger(__name__)

FEWEST_PREFETCHED = 50
FORBIDDEN = "ACCESS_REFUSED"  # what RabbitMQ says when a user may not write to an exchange
DIRECT = ""  # the default exchange, whose routing keys are names of queues


class RpcConsumer(SharedExtension):
    """Consumes the request queue of a service for all its RPC entrypoints.

    `expired` counts requests that nobody waited for any more, so that they were not run, or
    their reply was given up; `unclaimed` counts replies whose queue was gone.
    """

    messaging = Messaging()

    def setup(self) -> None:
        """Make the consumer; it starts with the first entrypoint."""
        config = self.container.config
        self.expired = 0
        self.unclaimed = 0
        self._service: str = self.container.service_name
        self._entrypoints: dict[str, Entrypoint] = {}
        self._labels: dict[str, str] = {}  # of methods, for errors and logs
        self._clock_skew: float | None = config["CLOCK_SKEW"]
        self._reply_mode = PERSISTENT if config["RPC_PERSISTENT"] else TRANSIENT
        self._exchange = rpc_exchange(config["RPC_EXCHANGE"])
        self._queue = rpc_queue(self._service, self._exchange)
        self.messaging.declare(self._exchange)
        self._is_started = False
        self._replies_directly = True  # until the broker says that we may not

    def register(self, entrypoint: Entrypoint) -> None:
        """Note that `entrypoint` answers the calls of its method."""
        self._entrypoints[entrypoint.method_name] = entrypoint
        self._labels[entrypoint.method_name] = f"{self._service}.{entrypoint.method_name}"

    def start_consuming(self) -> None:
        """Consume; BrokerRefused when the queue cannot be had. Later calls do nothing."""
        if not self._is_started:
            self._is_started = True
            self._consumer = self.messaging.consume(
                lambda: self._queue, self._receive, prefetch=self._prefetch()
            )
            self._consumer.start()

    def stop_consuming(self) -> None:
        """Take no more requests; later calls do nothing."""
        if self._is_started:
            self._consumer.cancel()

    def _prefetch(self) -> int:
        lanes = {each.lane for each in self._entrypoints.values()}
        workers = sum(lane.max_workers for lane in lanes)
        return self.container.config["PREFETCH_COUNT"] or max(FEWEST_PREFETCHED, 2 * workers)

    def _receive(self, delivery: Delivery) -> None:
        # The reader calls this: it picks the lane, and leaves all work to the worker.
        method = self._method_of(delivery)
        entrypoint = self._entrypoints.get(method)
        lane = self.container.default_lane if entrypoint is None else entrypoint.lane
        self.messaging.intake.submit(
            lane, delivery, partial(self._work, method, entrypoint, monotonic())
        )

    def _method_of(self, delivery: Delivery) -> str:
        _exchange, key = origin_of(delivery)
        return key.removeprefix(f"{self._service}.")

    def _work(self, method: str, entrypoint: Entrypoint | None, received: float, job: Job) -> None:
        delivery = job.delivery
        label = self._labels.get(method) or f"{self._service}.{method!r}"
        deadline = deadline_from_headers(delivery.headers, received, self._clock_skew)
        if deadline is not None and deadline <= monotonic():
            self._answer_expired(job, label)
            return
        try:
            args, kwargs = self._arguments(delivery)
            if entrypoint is None:
                raise MethodNotFound(f"no method {method!r} in service {self._service!r}")
            entrypoint.check_signature(args, kwargs)
        except (BadRequest, UndecodableMessage) as exc:
            logger.warning("refusing a call of %s: %s", label, exc)
            self._refuse(job, label, exc)
            return
        self.container.run_worker(
            entrypoint,
            args,
            kwargs,
            self.messaging.context_of(delivery.headers),
            partial(self._handle, job, label),
            deadline=deadline,
            message=delivery,
        )

    def _arguments(self, delivery: Delivery) -> tuple[list[Any], dict[str, Any]]:
        request = self.messaging.payload_of(delivery)
        try:
            args, kwargs = request["args"], request["kwargs"]
        except (TypeError, KeyError, IndexError):
            raise MalformedRequest("Message missing `args` or `kwargs`") from None
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
            raise MalformedRequest("`args` must be a list and `kwargs` an object")
        if not all(isinstance(name, str) for name in kwargs):
            raise MalformedRequest("the names in `kwargs` must be texts")
        return list(args), kwargs

    def _answer_expired(self, job: Job, label: str) -> None:
        self.expired += 1
        logger.warning("not running a call of %s: nobody waits for it any more", label)
        if job.delivery.properties.get("reply_to"):
            self._reply_error(job, label, RpcTimeout(f"{label} was called, but too late to run"))
        else:
            job.ack()

    def _refuse(self, job: Job, label: str, error: Exception) -> None:
        is_undecodable = isinstance(error, UndecodableMessage)
        if not job.delivery.properties.get("reply_to"):
            reason = UNDECODABLE if is_undecodable else INVALID
            self._bury(job, label, reason, error)
        else:
            self._reply_error(job, label, MalformedRequest(str(error)) if is_undecodable else error)

    def _handle(
        self, job: Job, label: str, worker_ctx: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, ExcInfo | None]:
        try:
            self._settle(job, label, worker_ctx, exc_info)
        except Exception:
            job.requeue_later()
            raise
        return result, exc_info

    def _settle(
        self, job: Job, label: str, worker_ctx: WorkerContext, exc_info: ExcInfo | None
    ) -> None:
        if job.delivery.properties.get("reply_to"):
            if exc_info is None:
                self._reply(job, label, worker_ctx.encoded_result, worker_ctx.deadline)
            else:
                self._reply_error(job, label, exc_info[1], worker_ctx.deadline)
        elif exc_info is None:
            job.ack()
        else:
            self._bury(job, label, EXHAUSTED, exc_info[1])

    def encode(self, worker_ctx: WorkerContext, result: Any) -> bytes | None:
        """Return the reply that says `result`, None where nobody wants one."""
        properties = worker_ctx.message.properties if worker_ctx.message is not None else {}
        if not properties.get("reply_to"):
            return None
        try:
            return self._serializer(properties).encode({"result": result, "error": None})
        except UnserializableValueError as exc:
            raise UnserializableValueError(result) from exc.__cause__

    def _reply_error(
        self, job: Job, label: str, error: BaseException, deadline: float | None = None
    ) -> None:
        body = self._serializer(job.delivery.properties).encode(
            {"result": None, "error": serialize(error)}
        )
        self._reply(job, label, body, deadline)

    def _reply(self, job: Job, label: str, body: bytes, deadline: float | None) -> None:
        properties = job.delivery.properties
        exchange, key = self._reply_address(job.delivery)
        reply = self.messaging.outgoing_body(exchange, key, body, self._serializer(properties))
        reply.mandatory = True
        reply.properties["delivery_mode"] = self._reply_mode
        if "correlation_id" in properties:
            reply.properties["correlation_id"] = properties["correlation_id"]
        job.is_answered = True
        self._post(job, label, reply, deadline)

    def _post(self, job: Job, label: str, reply: Outgoing, deadline: float | None) -> None:
        settle = partial(self._replied, job, label, reply, deadline)
        self.messaging.outbox.post(reply, settle, deadline)

    def _reply_address(self, delivery: Delivery) -> tuple[str, str]:
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
        is_replayed = delivery.exchange == "" and origin_of(delivery)[0] == self._exchange.name
        return self._exchange.name if is_replayed else delivery.exchange

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
            self._reply_error(job, label, PublishRejected(f"the reply of {label}: {error}"))
            return
        if isinstance(error, UndeliverableMessage):
            self.unclaimed += 1
            logger.debug("the queue for the reply of %s is gone", label)
        elif isinstance(error, BrokerUnavailable) and self.container.is_stopping:
            logger.warning("the reply of %s is not confirmed; the call is delivered again", label)
            job.requeue()
            return
        else:
            self.expired += 1
            logger.error("the reply of %s is given up: %s", label, error)
        job.ack()

    def _may_go_otherwise(self, error: BaseException) -> bool:
        """Return whether a reply may arrive through the exchange, if not straight."""
        if isinstance(error, PublishRejected) and FORBIDDEN in str(error):
            self._replies_directly = False
            return True
        return isinstance(error, UndeliverableMessage)

    def _serializer(self, properties: Mapping[str, Any]) -> Serializer:
        return self.messaging.serialization.for_reply(properties)

    def _bury(self, job: Job, label: str, reason: str, error: BaseException) -> None:
        queue = naming.dead_queue(job.delivery.queue)
        self.messaging.dead_letters.bury(job, queue, Death(reason, error, label))


class Rpc(Entrypoint):
    """Fires a method for each call of it: `@rpc`.

    What the method returns, or the error that it raises, is the reply. `timeout` limits a call
    in seconds, whatever its caller would wait. See `Entrypoint` for the other options.
    """

    rpc_consumer = RpcConsumer()

    def bind(self, container: Any, method_name: str) -> Self:  # type: ignore[override]  # Nameko's
        """Return a copy for `container`; ConfigurationError when the service's name is too long."""
        naming.rpc_queue(container.service_name)
        return super().bind(container, method_name)

    def setup(self) -> None:
        """Make the method known."""
        self.rpc_consumer.register(self)

    def start(self) -> None:
        """Take requests, for all methods of the service at once."""
        self.rpc_consumer.start_consuming()

    def stop(self) -> None:
        """Take no more requests; what was not started goes back to the queue."""
        self.rpc_consumer.stop_consuming()

    def encode_result(self, worker_ctx: WorkerContext, result: Any) -> Any:
        """Return the reply; raise UnserializableValueError when the result cannot be sent."""
        return self.rpc_consumer.encode(worker_ctx, result)


rpc = Rpc.decorator
