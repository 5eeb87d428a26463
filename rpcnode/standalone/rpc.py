"""Calling services from programs that are no service: Flask, Django, scripts, workers.

One object serves any number of threads: it has one connection to the broker and one I/O thread.
Nothing is patched, and no green threads are loaded.
"""

import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rpcnode.call_retries import CallRetry
from rpcnode.calls import Budget
from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError
from rpcnode.proxies import (
    UNSET,
    CallOptions,
    ClusterProxy,
    MethodProxy,
    Timeout,
)
from rpcnode.standalone.client import Client, Reply
from rpcnode.standalone.messages import standalone_config
from rpcnode.standalone.requests import Pending
from rpcnode.standalone.waiting import outcome_of

__all__ = ["ClusterRpcClient", "ClusterRpcProxy", "ServiceRpcClient", "ServiceRpcProxy"]

logger = logging.getLogger(__name__)


class ThreadCaller:
    """Makes the calls of threads: they wait, also while too many requests wait already."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def call(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call and wait."""
        return self._until_done(self._client.call, method, args, kwargs)

    def call_async(
        self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Reply:
        """Call; the result is asked for later."""
        self._wait_for_room(self._client.budget(method))
        return self._client.call_async(method, args, kwargs)

    def cast(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call without wanting a reply; return when the broker has the request."""
        self._until_done(self._client.cast, method, args, kwargs)

    def _until_done(
        self, send: Callable[..., Pending], method: MethodProxy, args: Any, kwargs: Any
    ) -> Any:
        """Return what an attempt returns, or raise the error of the last one."""
        budget = self._client.budget(method)
        policy = method.options.retry
        retry = None if policy is None else CallRetry(method, policy, budget)
        while True:
            self._wait_for_room(budget)
            try:
                return outcome_of(send, method, args, kwargs, budget)
            except Exception as exc:  # whatever it is, `retry` knows whether to try again
                delay = None if retry is None else retry.delay_after(exc)
                if delay is None:
                    raise
                logger.info("calling %s again in %.3g s: %s", method.full_name, delay, exc)
            time.sleep(delay)  # as long as the policy says; nothing could end it earlier

    def _wait_for_room(self, budget: Budget) -> None:
        if self._client.engine.is_full:
            self._client.engine.wait_for_room(budget.left())


class ClusterRpcProxy:
    """A client of all services: `with ClusterRpcProxy(config) as rpc: rpc.maths.add(2, 3)`.

    Without `with`, `start()` returns the same proxy, and `stop()` lets go of everything; it may
    be started again. Any number of threads may use it, also while others start or stop it. In a
    forked child it connects anew when it is used first.

    `context_data` travels with each call. `timeout` (seconds) is for calls that say nothing
    else; RPC_TIMEOUT is its default, None waits without end.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | None = None,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
        **options: Any,
    ) -> None:
        effective = standalone_config(config, options)
        for name in options:
            raise ConfigurationError(f"{type(self).__name__} knows no option {name!r}")
        self.client = Client(effective, context_data, timeout)
        self._proxy = ClusterProxy(ThreadCaller(self.client), CallOptions())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client.engine.settings.safe_uri}>"

    def start(self, *, wait: bool = True) -> Any:
        """Connect, and return the proxy; one that is started already is left as it is.

        Raises BrokerRefused or ConfigurationError when the broker will never let us in,
        BrokerUnavailable when it cannot be reached within 10 seconds. With `wait=False` it
        connects in the background: calls wait for that, within their time.
        """
        if wait:
            outcome_of(self.client.start)
        elif not self.client.engine.is_running:
            self.client.start(None)
        return self._proxy

    def stop(self) -> None:
        """Let go of everything, here and at the broker; calls in flight fail at once."""
        outcome_of(self.client.stop)

    def __enter__(self) -> Any:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class ServiceRpcProxy(ClusterRpcProxy):
    """A client of one service: `with ServiceRpcProxy("maths", config) as maths: maths.add(2, 3)`.

    In everything else it is like ClusterRpcProxy.
    """

    _proxy: Any

    def __init__(
        self,
        service_name: str,
        config: Config | Mapping[str, Any] | None = None,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
        **options: Any,
    ) -> None:
        super().__init__(config, context_data, timeout, **options)
        self._proxy = self._proxy[service_name]


class ClusterRpcClient(ClusterRpcProxy):
    """ClusterRpcProxy with Nameko 3's signature: the configuration of the process.

    The options `uri`, `ssl`, `login_method` and `serializer` take the place of its keys.
    """

    def __init__(
        self,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
        **options: Any,
    ) -> None:
        super().__init__(None, context_data, timeout, **options)


class ServiceRpcClient(ServiceRpcProxy):
    """ServiceRpcProxy with Nameko 3's signature: see ClusterRpcClient."""

    def __init__(
        self,
        service_name: str,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
        **options: Any,
    ) -> None:
        super().__init__(service_name, None, context_data, timeout, **options)
