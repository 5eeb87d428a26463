"""The calling side of RPC: proxies as dependencies."""

from collections.abc import Collection, Mapping
from typing import Any

from rpcnode.context import WorkerContext
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import DependencyProvider
from rpcnode.extensions.rpc_client import RpcClient
from rpcnode.proxies import (
    UNSET,
    CallOptions,
    ClusterProxy,
    MethodProxy,
    RpcReply,
    ServiceProxy,
    Timeout,
)
from rpcnode.publish_options import drop_options_without_effect
from rpcnode.retries import Retry

# Options of Nameko's proxies that say how a request travels: a call's timeout decides that here.
_OF_MESSAGES = ("serializer", "delivery_mode", "priority", "expiration", "compression")


class WorkerCaller:
    """Makes calls for one worker: with its context data, within its deadline."""

    __slots__ = ("_client", "_ctx")

    def __init__(self, client: RpcClient, worker_ctx: WorkerContext) -> None:
        self._client = client
        self._ctx = worker_ctx

    def call(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call and wait."""
        return self._client.call(self._ctx, method, args, kwargs)

    def call_async(
        self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> RpcReply:
        """Call; the result is asked for later."""
        return self._client.call_async(self._ctx, method, args, kwargs)

    def cast(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call without wanting a reply."""
        self._client.cast(self._ctx, method, args, kwargs)


class ClusterRpc(DependencyProvider):
    """Injects a proxy for all services: `self.cluster.maths.add(2, 3)`.

    `timeout` (seconds; None waits without end), `headers`, `retry` and `idempotent` are for all
    calls through it (see `CallOptions`); `with_options` gives others to one call.
    """

    client = RpcClient()

    def __init__(
        self,
        *,
        timeout: Timeout = UNSET,
        headers: Mapping[str, Any] | None = None,
        retry: Retry | bool | None = None,
        idempotent: bool | Collection[str] = False,
        **options: Any,
    ) -> None:
        if isinstance(retry, bool):  # Nameko's option: whether to publish again
            options["retry"], retry = retry, None
        drop_options_without_effect(options, *_OF_MESSAGES)
        for name in options:
            raise ConfigurationError(f"{type(self).__name__} knows no option {name!r}")
        if isinstance(timeout, (int, float)) and timeout <= 0:
            raise ConfigurationError(f"timeout must be above 0 seconds, not {timeout!r}")
        self.options = CallOptions(timeout, dict(headers or {}), retry=retry, idempotent=idempotent)

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Return the proxy for one worker."""
        return ClusterProxy(WorkerCaller(self.client, worker_ctx), self.options)


class RpcProxy(ClusterRpc):
    """Injects a proxy for one service: `self.maths.add(2, 3)`."""

    def __init__(self, target_service: str, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(target_service, str) or not target_service:
            raise ConfigurationError(
                f"RpcProxy wants the name of a service, not {target_service!r}"
            )
        self.target_service = target_service

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Return the proxy for one worker."""
        caller = WorkerCaller(self.client, worker_ctx)
        return ServiceProxy(caller, self.target_service, self.options)


ServiceRpc = RpcProxy
