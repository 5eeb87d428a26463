"""Clients that end without a goodbye: nobody has them any more."""

import gc
import threading
import time
from pathlib import Path

from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.standalone.native import run_native


def resources():
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def drop_clients(uri):
    config = {"AMQP_URI": uri}
    before = resources()
    for number in range(3):
        event_dispatcher(config)("orders", "placed", number)
        ClusterRpcProxy(config).start().shop.echo(number)
    reply = ClusterRpcProxy(config).start().shop.wait.call_async(0.2)
    result = reply.result()
    del reply
    gc.collect()
    ends = time.monotonic() + 10
    while resources() != before and time.monotonic() < ends:
        threading.Event().wait(0.02)
    return result, [after - begun for after, begun in zip(resources(), before, strict=True)]


def test_client_that_nobody_has_any_more_lets_go_of_everything(uri, shop, queues):
    result, left = run_native(drop_clients, uri)

    assert result == 0.2
    assert left == [0, 0]
    assert [name for name in queues() if "standalone" in name] == []
    assert sorted(shop.heard) == [0, 1, 2]


def start_with_each_request(uri):
    client = ClusterRpcProxy({"AMQP_URI": uri})
    client.start(wait=False)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1000):
        client.start(wait=False)
    gc.collect()
    grown = len(gc.get_objects()) - before
    client.stop()
    return grown


def test_starting_what_is_started_leaves_nothing_while_there_is_no_broker(free_port):
    grown = run_native(start_with_each_request, f"amqp://guest:guest@127.0.0.1:{free_port}//")

    assert grown < 500


def test_clients_that_are_gone_leave_nothing_in_memory():
    def make_and_drop(count):
        for _ in range(count):
            ClusterRpcProxy({"AMQP_URI": "amqp://guest:guest@127.0.0.1//"})
        gc.collect()
        return len(gc.get_objects())

    before = make_and_drop(1)
    after = make_and_drop(100)

    assert after - before < 100
