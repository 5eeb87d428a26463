"""The services of the measurements, on Nameko."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

from types import SimpleNamespace

from nameko.events import event_handler
from nameko.extensions import DependencyProvider
from nameko.rpc import RpcProxy, rpc
from nameko.runners import run_services

from benchmarks.peers.conversation import read_settings
from benchmarks.peers.hosted_services import run_service

FRAMEWORK = SimpleNamespace(
    DependencyProvider=DependencyProvider,
    RpcProxy=RpcProxy,
    event_handler=event_handler,
    rpc=rpc,
    run_services=run_services,
)


def main():
    """Host the services until the harness ends them."""
    packages = ("nameko", "kombu", "amqp", "eventlet", "greenlet")
    run_service(FRAMEWORK, read_settings(), packages)


if __name__ == "__main__":
    main()
