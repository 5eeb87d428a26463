"""The calling side of RPC: how a call is made, and when it ends."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Self

from rpcnode.amqp.message import PERSISTENT, TRANSIENT, Delivery, Outgoing
from rpcnode.amqp.naming import rpc_routing_key
from rpcnode.concurrency import Event, spawn
from rpcnode.context import WorkerContext, deadline_headers
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    RpcTimeout,
    SerializationError,
    UndecodableMessage,
    UndeliverableMessage,
    UnknownService,
)
from rpcnode.extensions.base import SharedExtension
from rpcnode.extensions.connection import RPC, Messaging
from rpcnode.extensions.publishing import milliseconds
from rpcnode.extensions.replies import ReplyListener
from rpcnode.proxies import (
    UNSET,
    MethodProxy,
    RpcReply,
    Timeout,
)
from rpcnode.serialization import deserialize

logger = logging.getLogger(__name__)

LONGEST_LIFE = 1e8  # seconds, three years: brokers know a limit, calls need not
NO_REPLY = ""  # no `reply_to` at all would kill a service that runs on Nameko


@dataclass(slots=True)  # not frozen, which would take longer to make: each call makes one
class Budget:
    """How long a call may take: `seconds` from its beginning, `ends` by the monotonic clock."""

    seconds: float | None
    ends: float | None

    @classmethod
    def of(cls, seconds: float | None, worker_ctx: WorkerContext) -> Self:
        """Return the smaller of `seconds` and what the worker has left."""
        remaining = worker_ctx.remaining()
        if remaining is not None and (seconds is None or remaining < seconds):
            seconds = remaining
        return cls(seconds, None if seconds is None else monotonic() + seconds)

    def left(self) -> float | None:
        """Return the seconds that are left, at least 0; None for no limit."""
        return None if self.ends is None else max(0.0, self.ends - monotonic())


class RpcClient(SharedExtension):
    """Makes the calls of a container's workers."""

    messaging = Messaging()
    replies = ReplyListener()

    def setup(self) -> None:
        """Read the defaults of calls."""
        config = self.container.config
        self.messaging.require("an RPC proxy", "mandatory", "confirms", "expiry")
        self._timeout: float | None = config["RPC_TIMEOUT"]
        self._mode = PERSISTENT if config["RPC_PERSISTENT"] else TRANSIENT
        self._publisher = self.messaging.publisher(RPC)

    def call(self, worker_ctx: WorkerContext, method: MethodProxy, args: Any, kwargs: Any) -> Any:
        """Call and wait; see `MethodProxy.__call__`."""
        budget = Budget.of(self._seconds(method.options.timeout), worker_ctx)
        request = self._request(worker_ctx, method, args, kwargs, budget)
        request.properties["delivery_mode"] = self._mode
        pending: Event[Delivery] = Event()
        try:
            self._send(request, method, pending, budget)
            if not pending.wait(budget.left()):
                raise _timeout(method, budget)
            return self._result(method, pending)
        finally:
            self.replies.forget(request.properties["correlation_id"])

    def call_async(
        self, worker_ctx: WorkerContext, method: MethodProxy, args: Any, kwargs: Any
    ) -> RpcReply:
        """Call without waiting; the request expires only when the call has a timeout."""
        timeout = method.options.timeout
        budget = Budget(None, None) if timeout is UNSET else Budget.of(timeout, worker_ctx)
        request = self._request(worker_ctx, method, args, kwargs, budget)
        sending = Budget.of(self._seconds(timeout), worker_ctx)
        call = AsyncCall(self, worker_ctx, method, request.properties["correlation_id"], budget)
        try:
            self._send(request, method, call.pending, sending)
        except BaseException:
            call.abandon()
            raise
        return RpcReply(call.wait, call.abandon)

    def cast(self, worker_ctx: WorkerContext, method: MethodProxy, args: Any, kwargs: Any) -> None:
        """Call without wanting a reply."""
        budget = Budget.of(self._seconds(method.options.timeout), worker_ctx)
        if budget.left() == 0:
            raise _timeout(method, budget)
        request = self._request(worker_ctx, method, args, kwargs, Budget(None, None))
        request.properties["reply_to"] = NO_REPLY
        try:
            self._publisher.publish(request, budget.left())
        except UndeliverableMessage as exc:
            raise UnknownService(method.service_name, method.method_name) from exc
        except (BrokerUnavailable, PublishTimeout) as exc:
            raise _timeout(method, budget, exc) from exc
        except (ConnectionLost, PublishRejected) as exc:
            raise type(exc)(f"{method.full_name}: {exc}") from exc

    def wait_for(self, method: MethodProxy, pending: Event[Delivery], budget: Budget) -> Any:
        """Return the result of a call that was sent, or raise its error."""
        if not pending.wait(budget.left()):
            raise _timeout(method, budget)
        return self._result(method, pending)

    def budget(self, timeout: Timeout, worker_ctx: WorkerContext) -> Budget:
        """Return the time for a call or for waiting; RPC_TIMEOUT where nothing is said."""
        return Budget.of(self._seconds(timeout), worker_ctx)

    def _seconds(self, timeout: Timeout) -> float | None:
        return self._timeout if timeout is UNSET else timeout

    def _request(
        self,
        worker_ctx: WorkerContext,
        method: MethodProxy,
        args: Any,
        kwargs: Any,
        budget: Budget,
    ) -> Outgoing:
        payload = {"args": args, "kwargs": kwargs}
        key = rpc_routing_key(method.service_name, method.method_name)
        try:
            request = self.messaging.outgoing(self.replies.exchange, key, payload)
        except SerializationError as exc:
            exc.add_note(f"calling {method.full_name}")
            raise
        properties = request.properties
        properties["reply_to"] = self.replies.address
        properties["correlation_id"] = next(self.replies.ids)
        request.mandatory = True
        request.headers = self.messaging.headers_of(worker_ctx)
        _limit(request, budget)
        request.headers.update(method.options.headers)
        return request

    def _send(
        self, request: Outgoing, method: MethodProxy, pending: Event[Delivery], budget: Budget
    ) -> None:
        """Write the request; the reply, or the error that replaces it, settles `pending`."""
        left = budget.left()
        if left == 0:
            raise _timeout(method, budget)
        if not self.replies.is_attached:
            if not self.replies.wait_attached(left):
                raise _timeout(method, budget, "no connection to the broker, so nothing was sent")
            left = budget.left()
            _renew_limit(request, budget)
        self.replies.expect(request.properties["correlation_id"], pending)
        try:
            self._publisher.post(request, partial(self._sent, request, method, budget), left)
        except BrokerUnavailable as exc:
            raise _timeout(method, budget, exc) from exc

    def _sent(
        self, request: Outgoing, method: MethodProxy, budget: Budget, error: BaseException | None
    ) -> None:
        # Called by the reader or the hub. A confirm says nothing about the reply, and a lost
        # one neither: the reply may still come.
        if error is None or isinstance(error, ConnectionLost):
            return
        if isinstance(error, BrokerUnavailable):  # the broker never had it
            spawn(self._send_again, request, method, budget)
            return
        if isinstance(error, UndeliverableMessage):
            error = UnknownService(method.service_name, method.method_name)
        self.replies.fail(request.properties["correlation_id"], error)

    def _send_again(self, request: Outgoing, method: MethodProxy, budget: Budget) -> None:
        """Send a request that was lost unsent with its connection, if anybody still waits."""
        correlation_id = request.properties["correlation_id"]
        if not self.replies.is_expected(correlation_id):
            return
        try:
            self._publisher.open(budget.left())
            if not self.replies.is_expected(correlation_id):
                return  # who waited for it was killed meanwhile
            _renew_limit(request, budget)
            settle = partial(self._sent, request, method, budget)
            self._publisher.post(request, settle, budget.left())
        except BrokerUnavailable as exc:
            self.replies.fail(correlation_id, _timeout(method, budget, exc))

    def _result(self, method: MethodProxy, pending: Event[Delivery]) -> Any:
        try:
            reply = self.messaging.payload_of(pending.result())
        except (ConnectionLost, PublishRejected, UndecodableMessage) as exc:
            raise type(exc)(f"{method.full_name}: {exc}") from exc
        if not isinstance(reply, (dict, Mapping)):  # `dict` is here for its speed
            raise UndecodableMessage(f"{method.full_name}: the reply is no object")
        if reply.get("error"):
            raise deserialize(reply["error"], method.full_name)
        return reply.get("result")


def _limit(request: Outgoing, budget: Budget) -> None:
    """Tell broker and callee how long the caller will wait from now on."""
    left = budget.left()
    if left is not None:
        request.properties["expiration"] = milliseconds(min(left, LONGEST_LIFE))
        request.headers.update(deadline_headers(left, time.time()))


def _renew_limit(request: Outgoing, budget: Budget) -> None:
    """Tell them anew, if they were told: the request had to wait."""
    if "expiration" in request.properties:
        _limit(request, budget)


def _timeout(method: MethodProxy, budget: Budget, why: object = None) -> RpcTimeout:
    limit = "" if budget.seconds is None else f" within {budget.seconds:.3g} s"
    text = f"no reply from {method.full_name}{limit}"
    return RpcTimeout(text if why is None else f"{text}: {why}")


class AsyncCall:
    """A call whose reply is asked for later, or never."""

    def __init__(
        self,
        client: RpcClient,
        worker_ctx: WorkerContext,
        method: MethodProxy,
        correlation_id: str,
        budget: Budget,
    ) -> None:
        self.pending: Event[Delivery] = Event()
        self._client = client
        self._ctx = worker_ctx
        self._method = method
        self._correlation_id = correlation_id
        self._budget = budget
        self._was_asked = False

    def wait(self, timeout: Timeout) -> Any:
        """Return the result or raise the error; see `RpcReply.result`."""
        self._was_asked = True
        budget = self._budget
        if timeout is not UNSET or budget.ends is None:
            budget = self._client.budget(timeout, self._ctx)
        return self._client.wait_for(self._method, self.pending, budget)

    def abandon(self) -> None:
        """Stop waiting; an error that nobody asked for is logged."""
        self._client.replies.forget(self._correlation_id)
        if self.pending.is_set() and not self._was_asked:
            try:
                self.pending.result()
            except Exception as exc:  # it would be lost silently
                logger.warning(
                    "a call of %s failed, and nobody asked for its result: %s",
                    self._method.full_name,
                    exc,
                )
