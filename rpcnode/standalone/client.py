"""Calls from outside of any service: each gives a future."""

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from rpcnode.amqp.entities import reply_queue, rpc_exchange
from rpcnode.amqp.message import PERSISTENT, TRANSIENT, Delivery, Outgoing
from rpcnode.amqp.naming import rpc_routing_key
from rpcnode.calls import NO_REPLY, Budget, limit, result_of, timed_out
from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError, SerializationError, UndecodableMessage
from rpcnode.proxies import UNSET, MethodProxy, RpcReply, Timeout, check_timeout
from rpcnode.standalone.engine import START_TIMEOUT, Engine
from rpcnode.standalone.messages import CLIENT_NAME, Messages, standalone_settings
from rpcnode.standalone.requests import Call, Cast, Pending


class Reply(Pending, RpcReply):
    """The reply to a call that was not waited for: a future, whose `result` knows RPC_TIMEOUT."""

    def __init__(self, method: MethodProxy, patience: float | None) -> None:
        Pending.__init__(self)
        self._method = method
        self._patience = patience

    def result(self, timeout: Timeout = UNSET) -> Any:
        """Return the result or raise the error; wait at most `timeout` seconds for it.

        The default is RPC_TIMEOUT; None waits without end. It may be called again, also after
        an RpcTimeout: a reply that comes later is still there.
        """
        seconds = self._patience if timeout is UNSET else timeout
        try:
            return super().result(seconds)
        except TimeoutError:
            if self.done():  # it is the call's own error, or this came right now
                return super().result()
            raise timed_out(self._method, Budget.lasting(seconds)) from None

    def __del__(self) -> None:
        """Do nothing: a future's callbacks are called whether somebody has it or not."""


class Client:
    """Makes calls through one engine; nothing here waits.

    `context_data` travels with each call. `timeout` (seconds) is for calls that say nothing
    else; RPC_TIMEOUT is its default, None waits without end.
    """

    def __init__(
        self,
        config: Config,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
    ) -> None:
        check_timeout(timeout)
        if isinstance(timeout, (int, float)) and timeout <= 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, not {timeout!r}")
        self._timeout: float | None = config["RPC_TIMEOUT"] if timeout is UNSET else timeout
        self._mode = PERSISTENT if config["RPC_PERSISTENT"] else TRANSIENT
        self._exchange = rpc_exchange(config["RPC_EXCHANGE"])
        self._messages = Messages(config, context_data)
        self.engine = Engine(
            standalone_settings(config),
            partial(reply_queue, CLIENT_NAME, exchange=self._exchange),
        )

    def start(self, timeout: float | None = START_TIMEOUT) -> "Future[None]":
        """Connect; see `Engine.start`."""
        return self.engine.start(timeout)

    def stop(self) -> "Future[None]":
        """Let go of everything; see `Engine.stop`."""
        return self.engine.stop()

    def call(
        self,
        method: MethodProxy,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        budget: Budget | None = None,
    ) -> Pending:
        """Call; the future has the result or the error, at the latest when its time is over.

        That is `budget`, for those who have spent some already, else the call's own.
        """
        budget = budget or self.budget(method)
        request = self._request(method, args, kwargs, budget)
        request.properties["delivery_mode"] = self._mode
        return self.engine.submit(self._call(request, budget, Pending(), method))

    def call_async(
        self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reply:
        """Call; the request expires only when the call has a timeout, as in services."""
        timeout = method.options.timeout
        budget = Budget.lasting(None if timeout is UNSET else timeout)
        request = self._request(method, args, kwargs, budget)
        reply = Reply(method, self._timeout)
        call = self._call(request, budget, reply, method)
        call.sending = self.budget(method)
        self.engine.submit(call)
        return reply

    def cast(
        self,
        method: MethodProxy,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        budget: Budget | None = None,
    ) -> Pending:
        """Call without wanting a reply; the future is done when the broker has the request."""
        request = self._request(method, args, kwargs, Budget(None, None))
        request.properties["reply_to"] = NO_REPLY
        future = Pending()
        budget = budget or self.budget(method)
        self.engine.submit(Cast(request, budget, future, self._exchange, method))
        return future

    def budget(self, method: MethodProxy) -> Budget:
        """Return the time for a call, from now on."""
        timeout = method.options.timeout
        return Budget.lasting(self._timeout if timeout is UNSET else timeout)

    def _call(
        self, request: Outgoing, budget: Budget, future: Pending, method: MethodProxy
    ) -> Call:
        return Call(request, budget, future, self._exchange, method, self._result)

    def _request(self, method: MethodProxy, args: Any, kwargs: Any, budget: Budget) -> Outgoing:
        if method.options.delay is not None:
            raise ConfigurationError(f"{method.full_name}: only services can delay a cast")
        key = rpc_routing_key(method.service_name, method.method_name)
        try:
            request = self._messages.outgoing(
                self._exchange.name, key, {"args": args, "kwargs": kwargs}
            )
        except SerializationError as exc:
            exc.add_note(f"calling {method.full_name}")
            raise
        request.mandatory = True
        request.headers = self._messages.headers()
        limit(request, budget)
        request.headers.update(method.options.headers)
        return request

    def _result(self, delivery: Delivery, method: MethodProxy) -> Any:
        try:
            reply = self._messages.payload_of(delivery)
        except UndecodableMessage as exc:
            raise UndecodableMessage(f"{method.full_name}: {exc}") from exc
        return result_of(reply, method)
