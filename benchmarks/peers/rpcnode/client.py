"""The client of the measurements, on rpcnode: a service with a proxy."""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

from benchmarks.peers.conversation import Load, read_settings
from rpcnode.rpc import RpcProxy
from rpcnode.runners import run_services
from rpcnode.testing.services import dummy


class Caller:
    """Calls the service again and again, in each of its workers."""

    name = "caller"
    bench = RpcProxy("bench")

    @dummy
    def call(self, load, payload):
        """Call until `load` has enough."""
        load.call_repeatedly(lambda: self.bench.echo(payload))


def main():
    """Put the load on, and measure."""
    settings = read_settings()
    load = Load(settings["seconds"], settings["warm_up"])
    with run_services(settings["config"], Caller) as runner:
        container = runner.service_map[Caller.name]
        entrypoint = next(iter(container.entrypoints))
        for _ in range(settings["in_flight"]):
            container.spawn_worker(entrypoint, (load, settings["payload"]), {})
        load.measure()


if __name__ == "__main__":
    main()
