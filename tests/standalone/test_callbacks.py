"""What callbacks of replies may do: they are called in the client's own thread."""

import sys
import threading

import pytest

from rpcnode.exceptions import ClientNotRunning, ConfigurationError
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.hosting import wait_until
from tests.standalone.native import run_native


def wait_in_a_callback(uri):
    config = {"AMQP_URI": uri}
    client, other = ClusterRpcProxy(config), ClusterRpcProxy(config)
    told, done, called = [], threading.Event(), []
    with client as rpc, event_dispatcher(config) as dispatch:
        ways = [
            lambda: rpc.shop.note("called"),
            lambda: rpc.shop.note.cast("cast"),
            lambda: rpc.shop.wait.call_async(0.1).result(timeout=1),
            lambda: dispatch("orders", "placed", "dispatched"),
            client.stop,
            other.start,
        ]

        def callback(_reply):
            for way in ways:
                try:
                    way()
                except ConfigurationError as exc:
                    told.append(str(exc))
            rpc.shop.echo.call_async("next").add_done_callback(called.append)
            done.set()

        rpc.shop.echo.call_async(1).add_done_callback(callback)
        assert done.wait(10)
        assert rpc.shop.echo.with_options(timeout=5)("goes on") == "goes on"
        assert not other.client.engine.is_running
    return told, [reply.result() for reply in called]


def test_callback_that_waits_is_told_so_and_stops_nobody_else(uri, shop):
    told, called = run_native(wait_in_a_callback, uri)

    assert len(told) == 6
    assert all("in the client's own thread" in each for each in told)
    assert called == ["next"]
    assert (shop.ran, shop.heard) == ([], [])


def cancel_before_it_is_sent(uri):
    arrived, go_on = threading.Event(), threading.Event()

    def keep_the_thread(_reply):
        arrived.set()
        go_on.wait(10)

    with ClusterRpcProxy({"AMQP_URI": uri}) as rpc:
        rpc.shop.echo.call_async(1).add_done_callback(keep_the_thread)
        assert arrived.wait(10)
        withdrawn = rpc.shop.note.call_async("withdrawn")
        assert withdrawn.cancel()
        go_on.set()
        rpc.shop.note("kept")


def test_request_that_is_cancelled_at_once_is_never_sent(uri, shop):
    run_native(cancel_before_it_is_sent, uri)

    wait_until(lambda: shop.ran == ["kept"])


def end_the_thread(uri):
    client = ClusterRpcProxy({"AMQP_URI": uri})
    with client as rpc:
        slow = rpc.shop.wait.call_async(5)
        rpc.shop.echo.call_async(1).add_done_callback(lambda _reply: sys.exit("wrong here"))
        with pytest.raises(Exception, match="stopped"):
            slow.result(timeout=5)
        with pytest.raises(ClientNotRunning):
            rpc.shop.echo(2)
        assert not client.client.engine.is_running
        client.start()
        assert rpc.shop.echo(3) == 3


def test_client_whose_thread_was_ended_can_be_started_again(uri):
    run_native(end_the_thread, uri)
