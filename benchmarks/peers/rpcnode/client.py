"""The client of the measurements, on rpcnode."""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

from types import SimpleNamespace

from benchmarks.peers.conversation import read_settings
from benchmarks.peers.hosted_client import run_client
from rpcnode.events import EventDispatcher
from rpcnode.rpc import RpcProxy
from rpcnode.runners import run_services
from rpcnode.testing.services import dummy

FRAMEWORK = SimpleNamespace(
    EventDispatcher=EventDispatcher, RpcProxy=RpcProxy, dummy=dummy, run_services=run_services
)


def main():
    """Do the job."""
    settings = read_settings()
    run_client(
        FRAMEWORK,
        settings,
        [*settings.get("services", []), "silent"],
        RPC_PERSISTENT=settings.get("persistent", False),
    )


if __name__ == "__main__":
    main()
