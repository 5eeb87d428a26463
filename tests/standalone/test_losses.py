"""What a client makes of lost connections, silent peers and brokers that are away.

The client runs in this process, in green threads, so that the test can break things while it
calls; `test_restarts` has threads.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import SimpleNamespace

import pytest

from rpcnode.exceptions import BrokerUnavailable, ConnectionLost, RpcTimeout, UnserializableHeader
from rpcnode.standalone import dialer, loop
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.hosting import wait_until
from tests.management_api import quoted


@pytest.fixture
def client(shop, proxy):
    """A client behind a proxy."""
    client = ClusterRpcProxy({"AMQP_URI": proxy.uri, "HEARTBEAT": 1})
    client.start()
    yield client
    client.stop()


@pytest.fixture
def rpc(client):
    """The proxy of that client."""
    return client.start()


@pytest.fixture
def pool():
    """Threads that call."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def reply_queue(queues):
    (name,) = [each for each in queues() if each.startswith("rpc.reply-standalone")]
    return name


def test_call_in_flight_gets_its_reply_over_the_next_connection(rpc, proxy):
    replies = [rpc.shop.wait.call_async(0.5) for _ in range(3)]
    assert rpc.shop.echo(1) == 1  # so that the others are at the broker

    proxy.cut()

    assert [reply.result(timeout=10) for reply in replies] == [0.5] * 3
    assert rpc.shop.echo("again") == "again"


def test_request_that_was_never_sent_is_sent_within_its_time(rpc, proxy, pool):
    assert rpc.shop.echo(1) == 1
    proxy.refuse()
    proxy.cut()
    call = pool.submit(rpc.shop.echo.with_options(timeout=20), "sent later")
    cast = pool.submit(rpc.shop.note.with_options(timeout=20).cast, "cast later")
    with pytest.raises(RpcTimeout, match="nothing was sent"):
        rpc.shop.echo.with_options(timeout=0.2)("never sent")

    proxy.admit()

    assert call.result() == "sent later"
    assert cast.result() is None


def test_request_that_cannot_be_sent_takes_no_other_one_with_it(rpc, proxy, pool):
    proxy.refuse()
    proxy.cut()
    patient = rpc.shop.echo.with_options(timeout=20)
    wrong = patient.with_options(headers={"x": object()}).call_async("wrong")
    others = [patient.call_async(number) for number in range(3)]

    proxy.admit()

    with pytest.raises(UnserializableHeader, match="'x'"):
        wrong.result(timeout=None)
    assert [reply.result(timeout=None) for reply in others] == [0, 1, 2]


def test_calls_fail_when_their_reply_queue_is_gone(rpc, proxy, queues, management_api, vhost_uri):
    vhost = quoted(vhost_uri.rpartition("/")[2])
    in_flight = rpc.shop.wait.call_async(2)
    assert rpc.shop.echo(1) == 1
    name = wait_until(lambda: reply_queue(queues))

    management_api.request("DELETE", f"queues/{vhost}/{quoted(name)}")

    with pytest.raises(ConnectionLost, match=r"shop\.wait: the reply queue is gone"):
        in_flight.result(timeout=10)
    assert rpc.shop.echo.with_options(timeout=10)("again") == "again"


def test_silent_broker_is_noticed_and_nobody_waits_longer_than_said(rpc, client, proxy):
    assert rpc.shop.echo(1) == 1
    proxy.stall()
    began = monotonic()
    with pytest.raises(RpcTimeout):
        rpc.shop.echo.with_options(timeout=0.4)(2)
    took = monotonic() - began

    wait_until(lambda: client.client.engine._loop.traffic.session is None)
    proxy.heal()

    assert took < 1.4
    assert rpc.shop.echo.with_options(timeout=20)(3) == 3


def test_idle_client_keeps_its_connection_by_heartbeats(rpc, proxy):
    assert rpc.shop.echo(1) == 1
    accepted, began = proxy.accepted, monotonic()

    wait_until(lambda: monotonic() > began + 2.5)  # a peer that is silent for 2 s is let go of

    assert rpc.shop.echo(2) == 2
    assert proxy.accepted == accepted


def test_next_address_is_taken_when_one_does_not_answer(shop, vhost_uri, free_port):
    address = f"amqp://guest:guest@127.0.0.1:{free_port}//;{vhost_uri}"

    with ClusterRpcProxy({"AMQP_URI": address}) as rpc:
        result = rpc.shop.echo("there")

    assert result == "there"


def test_system_without_a_thread_to_spare_is_asked_again(rpc, proxy, monkeypatch):
    refusals = [1, 2]

    class Scarce(threading.Thread):
        def start(self):
            if refusals:
                refusals.pop()
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(dialer, "threading", SimpleNamespace(Thread=Scarce))
    proxy.cut()

    assert rpc.shop.echo.with_options(timeout=10)("again") == "again"
    assert refusals == []


def test_too_many_requests_are_refused_within_their_time(rpc, proxy, monkeypatch, pool):
    monkeypatch.setattr(loop, "MOST_WAITING", 3)
    assert rpc.shop.echo(1) == 1
    proxy.refuse()
    proxy.cut()
    waiting = [rpc.shop.echo.with_options(timeout=20).call_async(number) for number in range(3)]

    began = monotonic()
    with pytest.raises(BrokerUnavailable, match="wait for the broker already"):
        rpc.shop.echo.with_options(timeout=0.3)("too many")
    took = monotonic() - began
    late = pool.submit(rpc.shop.echo.with_options(timeout=20), "waits for room")
    proxy.admit()

    assert 0.3 <= took < 1.3
    assert [reply.result(timeout=None) for reply in waiting] == [0, 1, 2]
    assert late.result() == "waits for room"


def test_event_is_dispatched_once_the_broker_is_there_again(shop, proxy, pool):
    with event_dispatcher({"AMQP_URI": proxy.uri}) as dispatch:
        dispatch("orders", "placed", 1)
        proxy.refuse()
        proxy.cut()
        late = pool.submit(dispatch, "orders", "placed", 2, timeout=20)
        with pytest.raises(BrokerUnavailable, match="was not sent"):
            dispatch("orders", "placed", 3, timeout=0.2)
        proxy.admit()
        late.result()

    wait_until(lambda: shop.heard == [1, 2])


def test_stop_ends_while_the_broker_is_silent(shop, proxy):
    client = ClusterRpcProxy({"AMQP_URI": proxy.uri})
    rpc = client.start()
    in_flight = rpc.shop.wait.call_async(1)
    assert rpc.shop.echo(1) == 1
    proxy.stall()

    began = monotonic()
    client.stop()
    took = monotonic() - began

    with pytest.raises(ConnectionLost, match="stopped"):
        in_flight.result(timeout=0)
    assert took < 8


def test_broker_that_takes_no_messages_holds_requests_within_their_time(
    shop, rabbit_server, vhost_uri, pool
):
    with ClusterRpcProxy({"AMQP_URI": vhost_uri}) as rpc:
        assert rpc.shop.echo(1) == 1
        rabbit_server.ctl("set_vm_memory_high_watermark", "0.00001")
        try:
            # The broker tells it to those who publish, when they do.
            with pytest.raises(RpcTimeout):
                rpc.shop.echo.with_options(timeout=0.3)("held")
            began = monotonic()
            with pytest.raises(RpcTimeout, match="takes no messages, so nothing was sent"):
                rpc.shop.echo.with_options(timeout=0.3)("not sent")
            took = monotonic() - began
            late = pool.submit(rpc.shop.echo.with_options(timeout=30), "later")
        finally:
            rabbit_server.ctl("set_vm_memory_high_watermark", "0.4")

        assert 0.3 <= took < 1.3
        assert late.result() == "later"
