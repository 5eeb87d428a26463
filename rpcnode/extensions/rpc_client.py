"""The calling side of RPC: how a call is made, and when it ends."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from rpcnode.amqp.message import PERSISTENT, TRANSIENT, Delivery, Outgoing
from rpcnode.amqp.naming import rpc_queue, rpc_routing_key
from rpcnode.call_retries import CallRetry
from rpcnode.calls import NO_REPLY, Budget, limit, renew_limit, result_of, timed_out, unknown
from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.context import WorkerContext
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConfigurationError,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    SerializationError,
    UndecodableMessage,
    UndeliverableMessage,
)
from rpcnode.extensions.base import SharedExtension
from rpcnode.extensions.connection import RPC, Messaging
from rpcnode.extensions.replies import ReplyListener
from rpcnode.proxies import (
    UNSET,
    MethodProxy,
    RpcReply,
    Timeout,
)
from rpcnode.publish_options import check_delay

logger = logging.getLogger(__name__)


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
        if method.options.retry is None:
            return self._call(worker_ctx, method, args, kwargs, budget)
        return _until_done(
            lambda: self._call(worker_ctx, method, args, kwargs, budget),
            CallRetry(method, method.options.retry, budget),
            method,
        )

    def _call(
        self, worker_ctx: WorkerContext, method: MethodProxy, args: Any, kwargs: Any, budget: Budget
    ) -> Any:
        request = self._request(worker_ctx, method, args, kwargs, budget)
        request.properties["delivery_mode"] = self._mode
        pending: Event[Delivery] = Event()
        try:
            self._send(request, method, pending, budget)
            if not pending.wait(budget.left()):
                raise timed_out(method, budget)
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
        """Call without wanting a reply, if need be later; see `CallOptions.delay`."""
        check_delay(method.options.delay or 0)
        budget = Budget.of(self._seconds(method.options.timeout), worker_ctx)
        if method.options.retry is None:
            self._cast(worker_ctx, method, args, kwargs, budget)
            return
        _until_done(
            lambda: self._cast(worker_ctx, method, args, kwargs, budget),
            CallRetry(method, method.options.retry, budget),
            method,
        )

    def _cast(
        self, worker_ctx: WorkerContext, method: MethodProxy, args: Any, kwargs: Any, budget: Budget
    ) -> None:
        if budget.left() == 0:
            raise timed_out(method, budget)
        request = self._request(worker_ctx, method, args, kwargs, Budget(None, None))
        request.properties["reply_to"] = NO_REPLY
        try:
            if method.options.delay:
                self._publish_later(request, method, budget)
            else:
                self._publisher.publish(request, budget.left())
        except UndeliverableMessage as exc:
            raise unknown(method) from exc
        except (BrokerUnavailable, PublishTimeout) as exc:
            raise timed_out(method, budget, exc) from exc
        except (ConnectionLost, PublishRejected) as exc:
            raise type(exc)(f"{method.full_name}: {exc}") from exc

    def _publish_later(self, request: Outgoing, method: MethodProxy, budget: Budget) -> None:
        # The broker tells nobody when it cannot route the request later: it is asked now.
        if not self.messaging.has_queue(rpc_queue(method.service_name), budget.left()):
            raise unknown(method)
        self.messaging.send(request, budget.left(), method.options.delay)

    def wait_for(self, method: MethodProxy, pending: Event[Delivery], budget: Budget) -> Any:
        """Return the result of a call that was sent, or raise its error."""
        if not pending.wait(budget.left()):
            raise timed_out(method, budget)
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
        limit(request, budget)
        request.headers.update(method.options.headers)
        return request

    def _send(
        self, request: Outgoing, method: MethodProxy, pending: Event[Delivery], budget: Budget
    ) -> None:
        """Write the request; the reply, or the error that replaces it, settles `pending`."""
        if method.options.delay is not None:
            raise ConfigurationError(f"{method.full_name}: only a cast can have a delay")
        left = budget.left()
        if left == 0:
            raise timed_out(method, budget)
        if not self.replies.is_attached:
            if not self.replies.wait_attached(left):
                raise timed_out(method, budget, "no connection to the broker, so nothing was sent")
            left = budget.left()
            renew_limit(request, budget)
            request.properties["reply_to"] = self.replies.address  # it may be another one now
        self.replies.expect(request.properties["correlation_id"], pending)
        try:
            self._publisher.post(request, partial(self._sent, request, method, budget), left)
        except BrokerUnavailable as exc:
            raise timed_out(method, budget, exc) from exc

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
            error = unknown(method)
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
            renew_limit(request, budget)
            settle = partial(self._sent, request, method, budget)
            self._publisher.post(request, settle, budget.left())
        except BrokerUnavailable as exc:
            self.replies.fail(correlation_id, timed_out(method, budget, exc))

    def _result(self, method: MethodProxy, pending: Event[Delivery]) -> Any:
        try:
            reply = self.messaging.payload_of(pending.result())
        except (ConnectionLost, PublishRejected, UndecodableMessage) as exc:
            raise type(exc)(f"{method.full_name}: {exc}") from exc
        return result_of(reply, method)


def _until_done(attempt: Callable[[], Any], retry: CallRetry, method: MethodProxy) -> Any:
    """Return what an attempt returns, or raise the error of the last one."""
    while True:
        try:
            return attempt()
        except Exception as exc:  # whatever it is, `retry` knows whether it may be tried again
            delay = retry.delay_after(exc)
            if delay is None:
                raise
            logger.info("calling %s again in %.3g s: %s", method.full_name, delay, exc)
        sleep(delay)


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
