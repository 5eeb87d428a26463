"""`rpcnode shell`: a Python prompt that calls services and dispatches events.

The prompt has the main thread, because keyboards and Ctrl-C belong there; green threads live in
a hub in a native thread beside it, so that hosted services work on while the prompt waits.
"""

import argparse
import logging
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from rpcnode import __version__
from rpcnode.cli.client import Client
from rpcnode.cli.hosting import make_runner, prepare, stop_when_idle
from rpcnode.cli.options import EMBEDDED_NOTE, add_host_option, is_embedded, make_parser
from rpcnode.cli.output import one_line
from rpcnode.cli.prompts import INTERFACES, find_interface, run_piped
from rpcnode.concurrency import Bridge, HubThread, native_lock
from rpcnode.config import Config, mask_uri
from rpcnode.exceptions import BrokerUnavailable
from rpcnode.proxies import Caller, CallOptions, ClusterProxy, MethodProxy, RpcReply, ServiceProxy
from rpcnode.runners import ServiceRunner

FAILED = 1
PATIENCE = 1.0  # seconds that the prompt waits for the broker; then it is there without

DESCRIPTION = """\
Open a Python prompt with an object `n`: n.rpc.orders.place("apple"), n.dispatch_event("orders",
"placed", {...}), n.config. Python code on the standard input is run without a prompt; the exit
code is 1 when it raises."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    config = prepare(options, logging.WARNING)
    runner = make_runner(config, options.host)
    hosted = runner.service_names
    let_threads_log()
    with _running(runner) as (client, bridge):
        namespace = {"n": Shell(client, bridge, config)}
        if not sys.stdin.isatty():
            return _run_piped(client, bridge, namespace)
        interact = find_interface(options.interface)
        _start(client, bridge, hosted)
        interact(namespace, _banner(config, hosted, is_connected=client.is_started))
    return 0


def _run_piped(client: Client, bridge: Bridge, namespace: dict[str, Any]) -> int:
    try:
        bridge.call(client.start, namespace["n"].config["RPC_TIMEOUT"])
    except BrokerUnavailable as exc:
        print(one_line(exc), file=sys.stderr)
        return FAILED
    return run_piped(sys.stdin.read(), namespace)


def _start(client: Client, bridge: Bridge, hosted: Sequence[str]) -> None:
    """Wait for what is hosted; without that, the client goes on connecting beside the prompt."""
    if hosted:
        bridge.call(client.start, None)
    else:
        with suppress(BrokerUnavailable):
            bridge.call(client.start, PATIENCE)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("shell", DESCRIPTION)
    add_host_option(parser)
    parser.add_argument(
        "--interface", choices=list(INTERFACES), help="default: the first of them that is there"
    )
    return parser.parse_args(arguments)


def let_threads_log() -> None:
    """Make it safe to log at the prompt while the hub's thread does."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            handler.lock = native_lock()


def _banner(config: Config, hosted: Sequence[str], *, is_connected: bool) -> str:
    uri, origin = mask_uri(config["AMQP_URI"]), config.origins["AMQP_URI"]
    lines = [
        f"rpcnode {__version__} shell on Python {platform.python_version()}",
        f"broker: {uri} ({origin})",
        'n.rpc.SERVICE.METHOD(...)  n.dispatch_event("SERVICE", "TYPE", data)  n.config',
    ]
    if hosted:
        lines.append(f"hosted here: {', '.join(hosted)}")
    if is_embedded(config):
        lines.append(EMBEDDED_NOTE)
    if not is_connected:
        lines.append("no connection yet: calls wait for one, each within its own timeout")
    return "\n".join(lines)


@contextmanager
def _running(runner: ServiceRunner) -> Iterator[tuple[Client, Bridge]]:
    hub = HubThread()
    try:
        yield hub.bridge.call(Client, runner), hub.bridge
        hub.bridge.call(stop_when_idle, runner)
    except BaseException:  # Ctrl-C as well: whoever leaves does not wait
        hub.bridge.call(runner.kill)
        raise
    finally:
        hub.close()


class Shell:
    """What is called `n` at the prompt."""

    def __init__(self, client: Client, bridge: Bridge, config: Config) -> None:
        self._client = client
        self._bridge = bridge
        self.config = config
        self.rpc = _Cluster(_BridgedCaller(client, bridge), client.hosted)

    def __repr__(self) -> str:
        return "<rpcnode shell: n.rpc, n.dispatch_event, n.config>"

    def dispatch_event(
        self, service: str, event_type: str, event_data: Any, **options: Any
    ) -> None:
        """Dispatch an event as `service` would; return when the broker has it."""
        self._bridge.call(self._client.dispatch_event, service, event_type, event_data, **options)


class _BridgedCaller:
    """Makes the calls of the prompt's thread in the hub's."""

    def __init__(self, client: Client, bridge: Bridge) -> None:
        self._client = client
        self._bridge = bridge

    def call(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._bridge.call(self._client.call, method, args, kwargs)

    def call_async(
        self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> RpcReply:
        reply = [self._bridge.call(self._client.call_async, method, args, kwargs)]
        # The last reference to the reply goes in the hub's thread, where its tables are.
        return RpcReply(
            lambda timeout: self._bridge.call(reply[0].result, timeout),
            lambda: self._bridge.post(reply.clear),
        )

    def cast(self, method: MethodProxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._bridge.call(self._client.cast, method, args, kwargs)


class _Cluster(ClusterProxy):
    """Tells the prompt which services there are, as far as they are hosted here."""

    __slots__ = ("_hosted",)

    def __init__(self, caller: Caller, hosted: Mapping[str, Sequence[str]]) -> None:
        super().__init__(caller, CallOptions())
        self._hosted = hosted

    def __getitem__(self, name: str) -> ServiceProxy:
        return _Service(self._caller, name, self._hosted.get(name, ()))

    def __dir__(self) -> list[str]:
        return [name for name in self._hosted if name.isidentifier()]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._hosted)


class _Service(ServiceProxy):
    """Tells the prompt which methods there are."""

    __slots__ = ("_methods",)

    def __init__(self, caller: Caller, name: str, methods: Sequence[str]) -> None:
        super().__init__(caller, name, CallOptions())
        self._methods = methods

    def __dir__(self) -> list[str]:
        return list(self._methods)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._methods)
