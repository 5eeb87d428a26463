"""Calls and events from outside of any service: a container whose workers never end."""

from collections.abc import Callable
from typing import Any

from rpcnode.cli.hints import did_you_mean
from rpcnode.context import WorkerContext
from rpcnode.exceptions import MethodNotFound, UnknownService
from rpcnode.extensions.base import DependencyProvider, Entrypoint
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.events import exchange_of
from rpcnode.extensions.publishing import Address, PublishOptions, publish
from rpcnode.extensions.rpc import ClusterRpc, Rpc
from rpcnode.proxies import CallOptions, ClusterProxy, MethodProxy, RpcReply
from rpcnode.runners import ServiceRunner

CLIENT_NAME = "rpcnode-client"


class AnyEventDispatcher(DependencyProvider):
    """Injects `dispatch(service, event_type, data, **options)`, for events of any service."""

    messaging = Messaging()

    def get_dependency(self, worker_ctx: WorkerContext) -> Callable[..., None]:
        """Return the function; it raises what `publishing.publish` raises."""

        def dispatch(service: str, event_type: str, event_data: Any, **options: Any) -> None:
            exchange = exchange_of(self.container.config, service)
            self.messaging.declare(*([] if exchange.no_declare else [exchange]))
            address = Address(exchange.name, event_type)
            chosen = PublishOptions().but(**options)
            publish(self.messaging, worker_ctx, address, event_data, chosen)

        return dispatch


class ClientService:
    """Stands for whoever calls from a command; nothing is ever called here."""

    name = CLIENT_NAME
    cluster = ClusterRpc()
    dispatch = AnyEventDispatcher()

    @Entrypoint.decorator
    def client(self) -> None:
        """Give the calls a place to come from."""


class Client:
    """Makes calls and dispatches events; the runner, once started, carries them."""

    def __init__(self, runner: ServiceRunner) -> None:
        # What is hosted beside it is known by name, so that a wrong name gets a hint.
        self.hosted = {each.service_name: _rpc_methods(each) for each in runner.containers}
        runner.add_service(ClientService)
        self._container = runner.service_map[CLIENT_NAME]

    @property
    def rpc(self) -> ClusterProxy:
        """The proxy of all services."""
        return ClusterProxy(self, CallOptions())

    def dispatch_event(
        self, service: str, event_type: str, event_data: Any, **options: Any
    ) -> None:
        """Dispatch an event as `service` would; return when the broker has it."""
        self._dependency("dispatch")(service, event_type, event_data, **options)

    def call(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call and wait; for proxies."""
        try:
            return self._method(method)(*args, **kwargs)
        except (UnknownService, MethodNotFound) as exc:
            self._add_hint(exc, method)
            raise

    def call_async(
        self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> RpcReply:
        """Call; the result is asked for later; for proxies."""
        return self._method(method).call_async(*args, **kwargs)

    def cast(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Call without wanting a reply; for proxies."""
        self._method(method).cast(*args, **kwargs)

    def _method(self, method: MethodProxy) -> MethodProxy:
        # A new context for each call: each has a call id of its own.
        proxy: MethodProxy = self._dependency("cluster")[method.service_name][method.method_name]
        return proxy.with_options(timeout=method.options.timeout, headers=method.options.headers)

    def _dependency(self, attr_name: str) -> Any:
        worker_ctx = WorkerContext(self._container, None, self._container.entrypoints[0])
        providers = {each.attr_name: each for each in self._container.dependencies}
        return providers[attr_name].get_dependency(worker_ctx)

    def _add_hint(self, error: Exception, method: MethodProxy) -> None:
        methods = self.hosted.get(method.service_name)
        if methods is None:
            hint = did_you_mean(method.service_name, self.hosted)
        else:
            hint = did_you_mean(method.method_name, methods)
        if hint:
            error.add_note(hint.removeprefix("; "))


def _rpc_methods(container: Any) -> list[str]:
    return [each.method_name for each in container.entrypoints if isinstance(each, Rpc)]
