"""Calling services and dispatching events from asyncio: FastAPI, bots, scripts.

The clients are those of threads, and share their I/O thread's way of working: nothing that may
take its time runs in the event loop. One object serves all tasks of a process, also those of
several event loops.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rpcnode.call_retries import CallRetry
from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError
from rpcnode.proxies import UNSET, CallOptions, ClusterProxy, MethodProxy, Timeout
from rpcnode.publish_options import PublishOptions
from rpcnode.standalone.awaiting import EventLoops
from rpcnode.standalone.client import Client
from rpcnode.standalone.engine import Engine
from rpcnode.standalone.event_client import EventClient, check_options
from rpcnode.standalone.messages import standalone_config
from rpcnode.standalone.requests import Pending

__all__ = ["AsyncClusterRpc", "AsyncEventDispatcher", "AsyncServiceRpc"]

logger = logging.getLogger(__name__)


class TaskCaller:
    """Makes the calls of tasks, which await them."""

    def __init__(self, client: Client, event_loops: EventLoops) -> None:
        self._client = client
        self._event_loops = event_loops

    def call(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a coroutine that calls and waits."""
        return self._until_done(self._client.call, method, args, kwargs)

    def call_async(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a task that calls and waits."""
        event_loop = asyncio.get_running_loop()  # first: without one, nothing is begun
        return event_loop.create_task(self.call(method, args, kwargs), name=method.full_name)

    def cast(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return a coroutine that is done when the broker has the request."""
        return self._until_done(self._client.cast, method, args, kwargs)

    async def _until_done(
        self, send: Callable[..., Pending], method: MethodProxy, args: Any, kwargs: Any
    ) -> Any:
        """Return what an attempt returns, or raise the error of the last one."""
        budget = self._client.budget(method)
        policy = method.options.retry
        retry = None if policy is None else CallRetry(method, policy, budget)
        while True:
            if self._client.engine.is_full:
                await self._event_loops.room_in(self._client.engine, budget.left())
            try:
                return await self._event_loops.outcome_of(send(method, args, kwargs, budget))
            except Exception as exc:  # whatever it is, `retry` knows whether to try again
                delay = None if retry is None else retry.delay_after(exc)
                if delay is None:
                    raise
                logger.info("calling %s again in %.3g s: %s", method.full_name, delay, exc)
            await asyncio.sleep(delay)


class AsyncClient:
    """What is started and stopped, or stands in an `async with`.

    That gives its `face`; without one, itself.
    """

    def __init__(self, engine: Engine, event_loops: EventLoops, face: Any = None) -> None:
        self.engine = engine
        self._event_loops = event_loops
        self._face = face

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.engine.settings.safe_uri}>"

    async def start(self, *, wait: bool = True) -> Any:
        """Connect, and return what is to be called; what is started already is left as it is.

        Raises BrokerRefused or ConfigurationError when the broker will never let us in,
        BrokerUnavailable when it cannot be reached within 10 seconds. With `wait=False` it
        connects in the background: calls wait for that, within their time.
        """
        if wait:
            await self._event_loops.outcome_of(self.engine.start())
        elif not self.engine.is_running:
            self.engine.start(None)
        return self if self._face is None else self._face

    async def stop(self) -> None:
        """Let go of everything, here and at the broker; calls in flight fail at once."""
        await self._event_loops.outcome_of(self.engine.stop())

    async def __aenter__(self) -> Any:
        try:
            return await self.start()
        except asyncio.CancelledError:  # nobody will come to stop it
            self.engine.stop()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


class AsyncClusterRpc(AsyncClient):
    """A client of all services: `async with AsyncClusterRpc(config) as rpc`.

    Then `await rpc.maths.add(2, 3)`. It is `ClusterRpcProxy` for asyncio: the same errors,
    deadlines and options. Whatever is cancelled is withdrawn.

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
        client, event_loops = Client(effective, context_data, timeout), EventLoops()
        proxy = ClusterProxy(TaskCaller(client, event_loops), CallOptions())
        super().__init__(client.engine, event_loops, proxy)


class AsyncServiceRpc(AsyncClusterRpc):
    """A client of one service: `async with AsyncServiceRpc("maths", config) as maths`.

    In everything else it is like AsyncClusterRpc.
    """

    def __init__(
        self,
        service_name: str,
        config: Config | Mapping[str, Any] | None = None,
        context_data: Mapping[str, Any] | None = None,
        timeout: Timeout = UNSET,
        **options: Any,
    ) -> None:
        super().__init__(config, context_data, timeout, **options)
        self._face = self._face[service_name]


class AsyncEventDispatcher(AsyncClient):
    """Dispatches events as any service: `async with AsyncEventDispatcher(config) as dispatch`.

    Then `await dispatch("orders", "placed", {"id": 1})`, which returns when the broker has the
    event. The options are those of PublishOptions, for all events, and those of AsyncClusterRpc
    that take the place of configuration keys.
    """

    def __init__(self, config: Config | Mapping[str, Any] | None = None, **options: Any) -> None:
        effective = standalone_config(config, options)
        self._options = check_options(PublishOptions().but(**options))
        self._client = EventClient(effective)
        super().__init__(self._client.engine, EventLoops())

    async def __call__(
        self, service_name: str, event_type: str, event_data: Any = None, **options: Any
    ) -> None:
        """Dispatch an event; the options are those of PublishOptions.

        Raises BrokerUnavailable (nothing was sent in time), PublishTimeout and ConnectionLost
        (the outcome is unknown), BrokerRefused, PublishRejected, UndeliverableMessage (mandatory,
        and no queue takes it), UnserializableValueError, ClientNotRunning.
        """
        chosen = check_options(self._options.but(**options)) if options else self._options
        budget = self._client.budget(chosen)
        if self.engine.is_full:
            await self._event_loops.room_in(self.engine, budget.left())
        sent = self._client.dispatch(service_name, event_type, event_data, chosen, budget)
        await self._event_loops.outcome_of(sent)
