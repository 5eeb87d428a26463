"""The services of the measurements, on rpcnode."""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

from types import SimpleNamespace

from benchmarks.peers.conversation import read_settings
from benchmarks.peers.hosted_services import run_service
from rpcnode.events import event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.runners import run_services

FRAMEWORK = SimpleNamespace(
    DependencyProvider=DependencyProvider,
    RpcProxy=RpcProxy,
    event_handler=event_handler,
    rpc=rpc,
    run_services=run_services,
)


def main():
    """Host the services until the harness ends them."""
    settings, packages = read_settings(), ("rpcnode", "kombu", "amqp", "eventlet", "greenlet")
    is_persistent = settings.get("persistent", False)
    run_service(FRAMEWORK, settings, packages, RPC_PERSISTENT=is_persistent)


if __name__ == "__main__":
    main()
