"""Calls and events from outside of any service: a container whose workers never end."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from rpcnode.cli.hints import did_you_mean
from rpcnode.concurrency import Event, spawn
from rpcnode.config import mask_uri
from rpcnode.context import WorkerContext
from rpcnode.exceptions import BrokerUnavailable, MethodNotFound, UnknownService
from rpcnode.extensions.base import DependencyProvider, Entrypoint
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.events import exchange_of
from rpcnode.extensions.publishing import Address, publish
from rpcnode.extensions.rpc import ClusterRpc, Rpc
from rpcnode.proxies import UNSET, CallOptions, ClusterProxy, MethodProxy, RpcReply, Timeout
from rpcnode.publish_options import PublishOptions
from rpcnode.runners import ServiceRunner

CLIENT_NAME = "rpcnode-client"
LEAST_TIMEOUT = 0.001  # seconds; a call has some even if all were spent on connecting


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
    """Makes calls and dispatches events; the runner, once started, carries them.

    `start` may give up waiting while the broker is away: the runner goes on starting, and
    whatever is called waits for it, within its own timeout.
    """

    def __init__(self, runner: ServiceRunner) -> None:
        self._runner = runner
        self._started: Event[None] | None = None  # None until somebody starts it
        # What is hosted beside it is known by name, so that a wrong name gets a hint.
        self.hosted = {each.service_name: _rpc_methods(each) for each in runner.containers}
        runner.add_service(ClientService)
        self._container = runner.service_map[CLIENT_NAME]

    @property
    def is_started(self) -> bool:
        """Whether the runner has started."""
        return self._container.ready.is_set()

    def start(self, timeout: float | None) -> None:
        """Start the runner unless that was done; wait for it, at most `timeout` seconds.

        Raises what its start raises, and BrokerUnavailable when the time is over.
        """
        if self._started is None:
            self._started = Event()
            spawn(self._bring_up, self._started)
        if not self._started.wait(timeout):
            uri = mask_uri(self._runner.config["AMQP_URI"])
            raise BrokerUnavailable(
                f"no connection to {uri} within {timeout:g} s; nothing was sent"
            )
        self._started.result()

    def _bring_up(self, started: Event[None]) -> None:
        try:
            self._runner.start()
        except BaseException as exc:  # it is raised in those who wait, and who call later
            started.fail(exc)
        else:
            started.set()

    @property
    def rpc(self) -> ClusterProxy:
        """The proxy of all services."""
        return ClusterProxy(self, CallOptions())

    def dispatch_event(
        self, service: str, event_type: str, event_data: Any, **options: Any
    ) -> None:
        """Dispatch an event as `service` would; return when the broker has it."""
        self.start(self._runner.config["PUBLISH_TIMEOUT"])
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
        timeout = self._start_for(method)
        # A new context for each call: each has a call id of its own.
        proxy: MethodProxy = self._dependency("cluster")[method.service_name][method.method_name]
        return proxy.with_options(timeout=timeout, headers=method.options.headers)

    def _start_for(self, method: MethodProxy) -> Timeout:
        """Wait until the call can be made; return the timeout that is left for it."""
        timeout = method.options.timeout
        if self.is_started:
            return timeout
        seconds = self._runner.config["RPC_TIMEOUT"] if timeout is UNSET else timeout
        began = monotonic()
        self.start(seconds)
        if seconds is None:
            return timeout
        return max(LEAST_TIMEOUT, seconds - (monotonic() - began))

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
