"""The called side of RPC: requests come in, methods are fired, outcomes go out."""

import logging
from functools import partial
from time import monotonic
from typing import Any, Self

from rpcnode.amqp import naming
from rpcnode.amqp.copies import origin_of
from rpcnode.amqp.dead import CRASHED, EXHAUSTED, INVALID, REDELIVERED, UNDECODABLE
from rpcnode.amqp.entities import QUORUM, rpc_exchange, rpc_queue
from rpcnode.amqp.message import Delivery
from rpcnode.context import ExcInfo, WorkerContext, deadline_from_headers
from rpcnode.exceptions import (
    BadRequest,
    ConfigurationError,
    MalformedRequest,
    MethodNotFound,
    OutcomeUnknown,
    RpcTimeout,
    UndecodableMessage,
)
from rpcnode.extensions.base import Entrypoint, SharedExtension
from rpcnode.extensions.connection import CONFIRM_GRACE, Messaging
from rpcnode.extensions.intake import Job, Owner
from rpcnode.extensions.rpc_answers import Answers, Counts, wants_reply
from rpcnode.extensions.rpc_lanes import REFUSE, Overload, Route, Routes
from rpcnode.extensions.rpc_returns import Returns

logger = logging.getLogger(__name__)


class RpcConsumer(SharedExtension):
    """Consumes the request queue of a service for all its RPC entrypoints.

    `counts` says how many requests ended in an unusual way.
    """

    messaging = Messaging()

    def setup(self) -> None:
        """Make the consumer; it starts with the first entrypoint."""
        config = self.container.config
        self._service: str = self.container.service_name
        self._prefix = f"{self._service}."
        self._entrypoints: dict[str, Rpc] = {}
        self._clock_skew: float | None = config["CLOCK_SKEW"]
        self._exchange = rpc_exchange(config["RPC_EXCHANGE"])
        self._queue = rpc_queue(self._service, self._exchange, self.messaging.queue_type)
        self._answers = Answers(self.container, self.messaging, self._exchange.name)
        self._returns = Returns(
            self.messaging, self._exchange.name, self._clock_skew, self._answers.counts
        )
        is_quorum = self.messaging.queue_type == QUORUM
        owner = Owner(self._returns.guarded_copy, self._crashed, is_quorum)
        self._routes = Routes(self.container, self.messaging.intake, self._returns, owner)
        self._overload = Overload(self._answers, self._returns)
        self.messaging.declare(self._exchange)
        self._is_started = False

    @property
    def counts(self) -> Counts:
        """How many requests ended in an unusual way."""
        return self._answers.counts

    def register(self, entrypoint: "Rpc") -> None:
        """Note that `entrypoint` answers the calls of its method."""
        self._entrypoints[entrypoint.method_name] = entrypoint

    def start_consuming(self) -> None:
        """Consume; BrokerRefused when the queue cannot be had. Later calls do nothing."""
        if not self._is_started:
            self._is_started = True
            self._routes.make(self._entrypoints.values())
            self._consumer = self.messaging.consume(
                lambda: self._queue, self._receive, prefetch=self._routes.prefetch()
            )
            self._consumer.start()

    def stop_consuming(self) -> None:
        """Take no more requests; later calls do nothing."""
        if self._is_started:
            self._consumer.cancel()

    def stop(self) -> None:
        """Wait for the requests that go back to the queue as copies."""
        self._returns.stop(CONFIRM_GRACE)

    def encode(self, worker_ctx: WorkerContext, result: Any) -> bytes | None:
        """Return the reply that says `result`, None where nobody wants one."""
        message = worker_ctx.message
        # Without one a test called, perhaps before the container was started.
        return None if message is None else self._answers.encode(message.properties, result)

    def _receive(self, delivery: Delivery) -> None:
        # The reader calls this: it picks the lane, and leaves all work to the worker.
        route = self._routes.find(self._method_of(delivery))
        job = self.messaging.intake.submit(
            route.lane, delivery, partial(self._work, route), route.terms
        )
        if job is not None:  # that lane is full
            self._overload.turn_away(job, route, self._deadline(job))

    def _method_of(self, delivery: Delivery) -> str:
        _exchange, key = origin_of(delivery)
        return key.removeprefix(self._prefix)

    def _deadline(self, job: Job) -> float | None:
        return deadline_from_headers(job.delivery.headers, job.received, self._clock_skew)

    def _work(self, route: Route, job: Job) -> None:
        delivery, entrypoint = job.delivery, route.entrypoint
        deadline = self._deadline(job)
        if deadline is not None and deadline <= monotonic():
            self._answer_expired(job, route)
            return
        if job.may_have_run and route.refuses_redelivery:
            self._refuse_redelivery(job, route.label)
            return
        try:
            args, kwargs = self._arguments(delivery)
            if entrypoint is None:
                name = route.label.removeprefix(self._prefix)
                raise MethodNotFound(f"no method {name} in service {self._service!r}")
            entrypoint.check_signature(args, kwargs)
        except (BadRequest, UndecodableMessage) as exc:
            logger.warning("refusing a call of %s: %s", route.label, exc)
            self._refuse(job, route.label, exc)
            return
        self.container.run_worker(
            entrypoint,
            args,
            kwargs,
            self.messaging.context_of(delivery.headers),
            partial(self._handle, job, route),
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

    def _answer_expired(self, job: Job, route: Route) -> None:
        self.counts.expired += 1
        logger.warning("not running a call of %s: nobody waits for it any more", route.label)
        if wants_reply(job.delivery):
            error = RpcTimeout(f"{route.label} was called, but too late to run")
            self._answers.reply_error(job, route.label, error)
        else:
            job.ack()

    def _refuse_redelivery(self, job: Job, label: str) -> None:
        self.counts.refused += 1
        error = OutcomeUnknown(
            f"{label} was called, and perhaps run, before its service or its connection was "
            "lost; it must not run twice"
        )
        logger.warning("not running a call of %s again: it may have run already", label)
        if wants_reply(job.delivery):
            self._answers.reply_error(job, label, error)
        else:
            self._answers.bury(job, label, REDELIVERED, error)

    def _crashed(self, job: Job, error: Exception) -> None:
        label = self._routes.find(self._method_of(job.delivery)).label
        if wants_reply(job.delivery):
            self._answers.reply_error(job, label, error)
        else:
            self._answers.bury(job, label, CRASHED, error)

    def _refuse(self, job: Job, label: str, error: Exception) -> None:
        is_undecodable = isinstance(error, UndecodableMessage)
        if not wants_reply(job.delivery):
            self._answers.bury(job, label, UNDECODABLE if is_undecodable else INVALID, error)
        else:
            shown = MalformedRequest(str(error)) if is_undecodable else error
            self._answers.reply_error(job, label, shown)

    def _handle(
        self, job: Job, route: Route, worker_ctx: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, ExcInfo | None]:
        try:
            self._settle(job, route, worker_ctx, exc_info)
        except Exception:
            job.requeue_later()
            raise
        return result, exc_info

    def _settle(
        self, job: Job, route: Route, worker_ctx: WorkerContext, exc_info: ExcInfo | None
    ) -> None:
        answers, label = self._answers, route.label
        if exc_info is None:
            if wants_reply(job.delivery):
                answers.reply(job, label, worker_ctx.encoded_result, worker_ctx.deadline)
            else:
                job.ack()
        elif wants_reply(job.delivery):
            is_retryable = route.entrypoint is not None and route.entrypoint.may_retry(exc_info[1])
            answers.reply_error(
                job, label, exc_info[1], worker_ctx.deadline, is_retryable=is_retryable
            )
        else:
            answers.bury(job, label, EXHAUSTED, exc_info[1])


class Rpc(Entrypoint):
    """Fires a method for each call of it: `@rpc`.

    What the method returns, or the error that it raises, is the reply. `timeout` limits a call
    in seconds, whatever its caller would wait. See `Entrypoint` for the other options.

    - `queue_limit`: how many calls may wait for a worker, where the method has `max_workers`
      of its own (the default is as many); one more is answered `TooBusy`.
    - `on_redelivery`: what becomes of a call that may have run before, because the service or
      its connection was lost: "run" it again, or "refuse" it with `OutcomeUnknown`.
    - `idempotent`: running it twice does no harm, so that clients may try again what failed.
    """

    rpc_consumer = RpcConsumer()

    def __init__(
        self,
        *args: Any,
        queue_limit: int | None = None,
        on_redelivery: str = "run",
        idempotent: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        _check_options(self.max_workers, queue_limit, on_redelivery, idempotent)
        self.queue_limit = queue_limit
        self.on_redelivery = on_redelivery
        self.idempotent = idempotent

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

    def may_retry(self, error: BaseException) -> bool:
        """Return whether the caller may try again what failed with `error`, with some hope."""
        return self.idempotent and not isinstance(error, self.expected_exceptions)


rpc = Rpc.decorator


def _check_options(
    max_workers: int | None, queue_limit: Any, on_redelivery: Any, idempotent: Any
) -> None:
    is_count = isinstance(queue_limit, int) and not isinstance(queue_limit, bool)
    if queue_limit is not None and not (is_count and queue_limit >= 0):
        raise ConfigurationError(
            f"queue_limit must be a whole number of at least 0, not {queue_limit!r}"
        )
    if queue_limit is not None and max_workers is None:
        raise ConfigurationError(
            "queue_limit is for a method with max_workers of its own; for the others it is "
            "configured, as RPC_QUEUE_LIMIT"
        )
    if on_redelivery not in ("run", REFUSE):
        raise ConfigurationError(f"on_redelivery must be 'run' or 'refuse', not {on_redelivery!r}")
    if not isinstance(idempotent, bool):
        raise ConfigurationError(f"idempotent must be True or False, not {idempotent!r}")
    if idempotent and on_redelivery == REFUSE:
        raise ConfigurationError("an idempotent method has no reason to refuse a redelivery")
