"""The measurements themselves, tiny, with rpcnode's programs and a real broker."""

import pytest

from benchmarks.kinds.events import Drain, Events
from benchmarks.kinds.growth import Pending, Services
from benchmarks.kinds.lifetime import StartUp
from benchmarks.kinds.rpc import Rpc
from benchmarks.measuring import Bench
from benchmarks.peer import Peer

TINY = Bench(broker_pid=None, seconds=0.5, warm_up=0.3, pending=50, drained=50)
WORKLOADS = [
    Rpc("rpc", "rpc", "calls", in_flight=3, payload_size=1000),
    Rpc("chain", "chain", "calls through a chain", chain=3),
    Events("events", "events", "events", dispatchers=2, handlers=2),
    Drain("drain", "drain", "a queue of events"),
    StartUp("start-up", "start-up", "start of a service"),
    Services("services", "services", "many services", in_flight=20, count=3),
    Pending("pending", "pending", "others pending", in_flight=2),
]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)
def test_each_kind_of_workload_has_figures_for_rpcnode(vhost_uri, workload):
    peer = Peer.load("rpcnode")

    figures = workload.measure(TINY, peer, vhost_uri)

    # The broker's process is not known here.
    known = {name for name in workload.columns if name not in ("broker_cpu_us", "cpu_us")}
    assert {name for name in known if figures[name] is None} == set()
    assert all(figures[name] > 0 for name in known if not name.endswith("_cpu_us"))
    assert "rpcnode" in TINY.versions["rpcnode"]
