"""Messages of any kind: consume any queue, publish to any exchange."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

from kombu import Exchange, Queue

from rpcnode.amqp.dead import EXHAUSTED, INVALID, UNDECODABLE, Death
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.naming import checked, dead_queue
from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.exceptions import ConfigurationError, IncorrectSignature, UndecodableMessage
from rpcnode.extensions.base import DependencyProvider, Entrypoint
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.intake import Job
from rpcnode.extensions.publishing import Address, PublishOptions, publish
from rpcnode.workers import KILLED

__all__ = ["Consumer", "MessageHandler", "Messaging", "PublishOptions", "Publisher", "consume"]

logger = logging.getLogger(__name__)


class MessageHandler(Entrypoint):
    """The base of entrypoints that a queue's messages fire, each with its payload.

    A method that returns acks its message. One that fails has its message copied to the dead
    queue, with the reason, before it is acked. Subclasses say which queue it is (`make_queue`).

    - `requeue_on_error`: a message that fails first goes back to its queue, once.
    - `filter`: a function of the payload; what it answers with False is acked and not run.
      `filtered` counts that.
    """

    messaging = Messaging()

    def __init__(
        self,
        *args: Any,
        requeue_on_error: bool = False,
        filter: Callable[[Any], object] | None = None,  # noqa: A002 (the name that users write)
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.requeue_on_error = requeue_on_error
        self.filter = filter
        self.filtered = 0

    def make_queue(self) -> Any:
        """Return the kombu queue to consume; called for each connection."""
        raise NotImplementedError(f"{type(self).__name__} does not say which queue it consumes")

    def dead_queue(self, delivery: Delivery) -> str:
        """Return the name of the queue where a failed delivery ends."""
        return dead_queue(delivery.queue)

    def setup(self) -> None:
        """Check that the method can take a payload, and make the consumer."""
        try:
            self.check_signature(("payload",), {})
        except IncorrectSignature as exc:
            raise ConfigurationError(
                f"{exc}: write `def {self.method_name}(self, payload)`"
            ) from exc
        prefetch = self.container.config["PREFETCH_COUNT"] or self.lane.max_workers
        self._consumer = self.messaging.consume(self.make_queue, self._receive, prefetch=prefetch)

    def start(self) -> None:
        """Consume; BrokerRefused when the queue cannot be had."""
        self._consumer.start()

    def stop(self) -> None:
        """Take no more messages; what was not started goes back to the queue."""
        self._consumer.cancel()

    def _receive(self, delivery: Delivery) -> None:
        self.messaging.intake.submit(self.lane, delivery, self._work)

    def _work(self, job: Job) -> None:
        try:
            payload = self.messaging.payload_of(job.delivery)
        except UndecodableMessage as exc:
            self._bury(job, UNDECODABLE, exc)
            return
        if self._is_wanted(job, payload):
            self._run(job, payload)

    def _is_wanted(self, job: Job, payload: Any) -> bool:
        if self.filter is None:
            return True
        try:
            is_wanted = bool(self.filter(payload))
        except KILLED:
            raise
        except BaseException as exc:  # the filter is the user's, and did not expect this payload
            self._bury(job, INVALID, exc)
            return False
        if not is_wanted:
            self.filtered += 1
            job.ack()
        return is_wanted

    def _run(self, job: Job, payload: Any) -> None:
        def handle(
            _ctx: WorkerContext, result: Any, exc_info: ExcInfo | None
        ) -> tuple[Any, ExcInfo | None]:
            try:
                self._settle(job, exc_info)
            except Exception:
                job.requeue_later()
                raise
            return result, exc_info

        delivery = job.delivery
        context = self.messaging.context_of(delivery.headers)
        self.container.run_worker(self, (payload,), {}, context, handle, message=delivery)

    def _settle(self, job: Job, exc_info: ExcInfo | None) -> None:
        if exc_info is None:
            job.ack()
        elif self.requeue_on_error and not job.delivery.redelivered:
            job.requeue()
        else:
            self._bury(job, EXHAUSTED, exc_info[1])

    def _bury(self, job: Job, reason: str, error: BaseException) -> None:
        was_requeued = self.requeue_on_error and job.delivery.redelivered
        attempts = 2 if reason == EXHAUSTED and was_requeued else 1
        death = Death(reason, error, self._label(), attempts)
        self.messaging.dead_letters.bury(job, self.dead_queue(job.delivery), death)


class Consumer(MessageHandler):
    """Fires a method with the payload of each message of a queue (a `kombu.Queue`)."""

    def __init__(self, queue: Any, requeue_on_error: bool = False, **kwargs: Any) -> None:
        super().__init__(requeue_on_error=requeue_on_error, **kwargs)
        _check_entity("consume", queue, Queue)
        if not queue.name:
            raise ConfigurationError("consume wants a queue with a name: its dead queue needs one")
        checked(queue.name)
        self.queue = queue

    def make_queue(self) -> Any:
        """Return the queue as it was declared."""
        return self.queue


consume = Consumer.decorator


class Publisher(DependencyProvider):
    """Injects `publish(payload, **options)` for a `kombu.Exchange`, or the default exchange.

    The exchange, and what `declare` names, is declared at the start and on each connection.
    The options of PublishOptions may be given here and at each publish.
    """

    messaging = Messaging()

    def __init__(
        self, exchange: Any = None, queue: Any = None, declare: Any = (), **options: Any
    ) -> None:
        self.options = PublishOptions().but(declare=declare or (), **options)
        if queue is not None:
            warnings.warn(
                "Publisher(queue=) is deprecated, write exchange= and declare=",
                DeprecationWarning,
                stacklevel=3,  # past the constructor that remembers the arguments
            )
            _check_entity("Publisher(queue=)", queue, Queue)
            exchange = exchange or queue.exchange
            self.options = self.options.but(declare=queue)
        if exchange is not None:
            _check_entity("Publisher", exchange, Exchange)
        self.exchange = exchange

    def setup(self) -> None:
        """Declare the exchange and what else is to be there."""
        self.messaging.require(repr(self), *needs(self.options))
        self.messaging.declare(*([] if self.exchange is None else [self.exchange]))
        self.messaging.declare(*self.options.declare)

    def get_dependency(self, worker_ctx: WorkerContext) -> Callable[..., None]:
        """Return a function that publishes for this worker; see `publishing.publish`."""
        exchange = "" if self.exchange is None else self.exchange.name

        def publish_payload(payload: Any, **options: Any) -> None:
            chosen = self.options.but(**options) if options else self.options
            if "declare" in options:
                self.messaging.declare(*chosen.declare)
            address = Address(exchange, chosen.routing_key)
            publish(self.messaging, worker_ctx, address, payload, chosen)

        return publish_payload


def _check_entity(user: str, entity: Any, kind: type) -> None:
    if not isinstance(entity, kind):
        raise ConfigurationError(f"{user} wants a kombu.{kind.__name__}, not {entity!r}")


def needs(options: PublishOptions) -> list[str]:
    """Return what a transport must be able to do for these options."""
    wanted = {
        "mandatory": options.mandatory,
        "expiry": options.expiration is not None,
        "priority": options.priority is not None,
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]
