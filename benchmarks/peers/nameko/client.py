"""The client of the measurements, on Nameko."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

from types import SimpleNamespace

from nameko.events import EventDispatcher
from nameko.rpc import RpcProxy
from nameko.runners import run_services
from nameko.testing.services import dummy

from benchmarks.peers.conversation import read_settings
from benchmarks.peers.hosted_client import run_client

FRAMEWORK = SimpleNamespace(
    EventDispatcher=EventDispatcher, RpcProxy=RpcProxy, dummy=dummy, run_services=run_services
)


def main():
    """Do the job."""
    settings = read_settings()
    run_client(FRAMEWORK, settings, settings.get("services", []))


if __name__ == "__main__":
    main()
