"""Calls from programs that nothing has patched."""

import math
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from rpcnode.exceptions import (
    BrokerRefused,
    BrokerUnavailable,
    ClientNotRunning,
    ConfigurationError,
    IncorrectSignature,
    MethodNotFound,
    RemoteError,
    RpcTimeout,
    UnknownService,
    UnserializableHeader,
    UnserializableValueError,
)
from rpcnode.standalone.client import Reply
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import (
    ClusterRpcClient,
    ClusterRpcProxy,
    ServiceRpcClient,
    ServiceRpcProxy,
)
from tests.hosting import wait_until
from tests.standalone.native import run_native
from tests.standalone.services import NotInStock


def call_in_every_way(uri):
    config = {"AMQP_URI": uri}
    results = []
    with ClusterRpcProxy(config) as rpc:
        results += [rpc.shop.echo(1), rpc["shop"].echo(2), rpc.shop["echo"](value=3)]
    with ServiceRpcProxy("shop", config) as shop:
        results.append(shop.echo(4))
    with ClusterRpcClient(uri=uri) as rpc:
        results.append(rpc.shop.echo(5))
    with ServiceRpcClient("shop", uri=uri) as shop:
        results.append(shop.echo(6))
    with ClusterRpcProxy({**config, "AMQP_FAST_PATH": False}) as rpc:
        results.append(rpc.shop.echo(7))
    return results


def test_services_are_called_under_all_names(uri):
    results = run_native(call_in_every_way, uri)

    assert results == [1, 2, 3, 4, 5, 6, 7]


def see_every_error(uri):
    errors = {}

    def fails(expected, call):
        began = time.monotonic()
        with pytest.raises(expected) as caught:
            call()
        assert time.monotonic() - began < 2
        errors[expected.__name__] = str(caught.value)

    with ClusterRpcProxy({"AMQP_URI": uri}) as rpc:
        fails(UnknownService, rpc.nobody.method)
        fails(MethodNotFound, rpc.shop.nothing)
        fails(IncorrectSignature, rpc.shop.echo)
        fails(RemoteError, rpc.shop.fail)
        fails(NotInStock, lambda: rpc.shop.order("apples"))
        fails(RpcTimeout, lambda: rpc.shop.wait.with_options(timeout=0.2)(5))
        fails(UnserializableValueError, lambda: rpc.shop.echo(object()))
        fails(UnserializableHeader, lambda: rpc.shop.echo.with_options(headers={"x": object()})(1))
        assert rpc.shop.echo("and it goes on") == "and it goes on"
    return errors


def test_every_error_arrives_as_itself_and_names_what_was_called(uri):
    errors = run_native(see_every_error, uri)

    assert errors["UnknownService"] == "Unknown service `nobody` (calling nobody.method)"
    # Its service may be the first to say so.
    assert "shop.wait" in errors["RpcTimeout"]
    assert "0.2 s" in errors["RpcTimeout"]
    assert "shop.nothing" in errors["MethodNotFound"]
    assert "ValueError this cannot be" in errors["RemoteError"]
    assert errors["NotInStock"] == "apples"


def call_from_many_threads(uri, threads, calls):
    crossed = []
    client = ClusterRpcProxy({"AMQP_URI": uri})
    with client as rpc:

        def work(number):
            for call in range(calls):
                if rpc.shop.echo([number, call]) != [number, call]:
                    crossed.append((number, call))

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        names = sorted({each.name for each in threading.enumerate()} & {"rpcnode-client"})
        for worker in workers:
            worker.join()
        pending = client.client.engine.pending
    left = [each.name for each in threading.enumerate() if each.name.startswith("rpcnode")]
    return {"crossed": crossed, "names": names, "pending": pending, "left": left}


def test_many_threads_share_one_client_and_get_their_own_answers(uri):
    outcome = run_native(call_from_many_threads, uri, 16, 40)

    assert outcome == {"crossed": [], "names": ["rpcnode-client"], "pending": 0, "left": []}


def call_without_waiting(uri):
    with ClusterRpcProxy({"AMQP_URI": uri}) as rpc:
        replies = [rpc.shop.echo.call_async(number) for number in range(20)]
        results = [reply.result() for reply in as_completed(replies)]
        failing = rpc.shop.fail.call_async()
        with pytest.raises(RemoteError):
            failing.result()
        slow = rpc.shop.wait.call_async(0.5)
        with pytest.raises(RpcTimeout):
            slow.result(timeout=0.05)
        results.append(slow.result(timeout=None))
    return sorted(results)


def test_replies_are_futures_that_can_be_asked_again(uri):
    results = run_native(call_without_waiting, uri)

    assert results == sorted([*range(20), 0.5])


class InTheLastMoment(Reply):
    """A reply that comes right after the time to wait for it is over."""

    asked = 0

    def done(self):
        self.asked += 1
        if self.asked == 2:
            self.set_result("there")
        return super().done()


def test_reply_that_comes_as_the_time_ends_is_returned():
    method = ClusterRpcProxy({"AMQP_URI": "amqp://guest:guest@127.0.0.1//"})._proxy.shop.echo

    assert InTheLastMoment(method, 0.01).result() == "there"


def cast(uri):
    with ClusterRpcProxy({"AMQP_URI": uri}) as rpc:
        rpc.shop.note.cast("first")
        rpc.shop.note.cast("second")
        with pytest.raises(UnknownService):
            rpc.nobody.method.cast()


def test_cast_is_run_though_nobody_waits(uri, shop):
    run_native(cast, uri)

    wait_until(lambda: sorted(shop.ran) == ["first", "second"])


def ask_what_is_seen(uri):
    context = {"language": "en", "call_id_stack": ["web.request.1"], "nothing": None}
    with ClusterRpcProxy({"AMQP_URI": uri}, context_data=context, timeout=7) as rpc:
        seen = rpc.shop.seen.with_options(headers={"x-trace": "t1"})()
        unlimited = rpc.shop.seen.with_options(timeout=None)()
    return seen, unlimited


def test_context_data_and_deadline_travel_with_each_call(uri):
    seen, unlimited = run_native(ask_what_is_seen, uri)

    stack = seen["data"]["call_id_stack"]
    assert seen["data"]["language"] == "en"
    assert "nothing" not in seen["data"]
    assert stack[0] == "web.request.1"
    assert stack[1].startswith("standalone_rpc_proxy.call.")
    assert stack[2].startswith("shop.seen.")
    assert seen["headers"]["x-trace"] == "t1"
    assert 6000 < seen["headers"]["rpcnode-timeout-ms"] <= 7000
    assert 6 < seen["remaining"] <= 7
    assert unlimited["remaining"] is None
    assert unlimited["data"]["call_id_stack"] != seen["data"]["call_id_stack"]


def use_wrongly(uri, wrong):
    errors = {}

    def fails(what, expected, function):
        with pytest.raises(expected) as caught:
            function()
        errors[what] = str(caught.value)

    client = ClusterRpcProxy({"AMQP_URI": uri})
    proxy = client._proxy
    fails("not started", ClientNotRunning, lambda: proxy.shop.echo(1))
    rpc = client.start()
    assert client.start() is rpc
    assert rpc.shop.echo(1) == 1
    client.stop()
    client.stop()
    fails("stopped", ClientNotRunning, lambda: rpc.shop.echo(1))
    fails("stopped, async", ClientNotRunning, lambda: rpc.shop.echo.call_async(1).result())
    with client as again:
        assert again.shop.echo(2) == 2
    for what, address in wrong.items():
        began = time.monotonic()
        broken = ClusterRpcProxy({"AMQP_URI": address})
        fails(what, (BrokerRefused, BrokerUnavailable, ConfigurationError), broken.start)
        assert time.monotonic() - began < 15
        fails(f"{what}, after", Exception, lambda rpc=broken._proxy: rpc.shop.echo(1))
    fails("memory", ConfigurationError, lambda: ClusterRpcProxy({"AMQP_URI": "memory://"}))
    fails("option", ConfigurationError, lambda: ClusterRpcProxy({"AMQP_URI": uri}, nonsense=1))
    fails("timeout", ConfigurationError, lambda: ClusterRpcProxy({"AMQP_URI": uri}, timeout=0))
    left = [each.name for each in threading.enumerate() if each.name == "rpcnode-client"]
    return errors, left


def test_wrong_use_is_told_at_once(uri):
    before, _, after = uri.partition("@")
    wrong = {
        "password": f"amqp://guest:s3cret@{after}",
        "vhost": f"{before}@{after.rpartition('/')[0]}/nowhere",
    }

    errors, left = run_native(use_wrongly, uri, wrong)

    assert "not started" in errors["not started"]
    assert "stopped" in errors["stopped"]
    assert "stopped" in errors["stopped, async"]
    assert "refuses us" in errors["password"]
    assert "s3cret" not in str(errors)
    assert "nowhere" in errors["vhost"]
    assert "refuses us" in errors["password, after"]
    assert "memory://" in errors["memory"]
    assert errors["option"] == "ClusterRpcProxy knows no option 'nonsense'"
    assert left == []


@pytest.mark.parametrize("timeout", ["5", True, math.nan, math.inf])
def test_timeout_that_is_no_number_of_seconds_is_refused(timeout):
    config = {"AMQP_URI": "amqp://guest:guest@127.0.0.1//"}
    method = ClusterRpcProxy(config)._proxy.shop.echo

    for wrong in (
        lambda: ClusterRpcProxy(config, timeout=timeout),
        lambda: method.with_options(timeout=timeout),
        lambda: event_dispatcher(config, timeout=timeout),
    ):
        with pytest.raises(ConfigurationError, match="timeout must be seconds or None"):
            wrong()


def start_without_a_broker(port):
    uri = f"amqp://guest:guest@127.0.0.1:{port}//"
    client = ClusterRpcProxy({"AMQP_URI": uri})
    rpc = client.start(wait=False)
    began = time.monotonic()
    with pytest.raises(RpcTimeout) as caught:
        rpc.shop.echo.with_options(timeout=0.3)(1)
    took = time.monotonic() - began
    late = ClusterRpcProxy({"AMQP_URI": uri, "RPC_TIMEOUT": 0.3}).start(wait=False)
    with pytest.raises(RpcTimeout, match="nothing was sent"):
        late.shop.echo.call_async(1).result(timeout=5)
    client.stop()
    return took, str(caught.value)


def test_call_without_a_broker_fails_within_its_time_and_says_why(free_port):
    took, error = run_native(start_without_a_broker, free_port)

    assert 0.3 <= took < 1.3
    assert "shop.echo within 0.3 s" in error
    assert "cannot reach the broker" in error


def start_and_stop_at_once(uri):
    client = ClusterRpcProxy({"AMQP_URI": uri})
    surprises = []

    def work(number):
        for _ in range(5):
            try:
                rpc = client.start()
                rpc.shop.echo.with_options(timeout=10)(number)
            except Exception as exc:
                if type(exc).__name__ not in ("ClientNotRunning", "ConnectionLost"):
                    surprises.append(repr(exc))
            client.stop()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    with client as rpc:
        assert rpc.shop.echo("works") == "works"
    left = [each.name for each in threading.enumerate() if each.name == "rpcnode-client"]
    return surprises, left


def test_threads_may_start_and_stop_one_client_at_once(uri):
    surprises, left = run_native(start_and_stop_at_once, uri)

    assert surprises == []
    assert left == []


def cancel(uri):
    client = ClusterRpcProxy({"AMQP_URI": uri})
    with client as rpc:
        slow = rpc.shop.wait.call_async(0.3)
        assert slow.cancel()
        assert [reply.cancelled() for reply in as_completed([slow], timeout=5)] == [True]
        assert rpc.shop.echo(1) == 1
        return client.client.engine.pending


def test_cancelled_call_leaves_nothing_behind(uri):
    assert run_native(cancel, uri) == 0


def leave_without_a_goodbye(uri):
    rpc = ClusterRpcProxy({"AMQP_URI": uri}).start()
    assert rpc.shop.echo(1) == 1


def test_client_that_nobody_stopped_ends_with_the_program(uri, queues):
    began = time.monotonic()
    run_native(leave_without_a_goodbye, uri)

    assert time.monotonic() - began < 10
    assert [name for name in queues() if "standalone" in name] == []


def fork(uri):
    client = ClusterRpcProxy({"AMQP_URI": uri})
    rpc = client.start()
    assert rpc.shop.echo("parent") == "parent"
    slow = rpc.shop.wait.call_async(0.5)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if rpc.shop.echo("child") == "child":
                os.write(writing, b"child")
                client.stop()
                status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    said = os.read(reading, 10).decode()
    # The connection of the parent is the same one, and what was in flight arrives.
    generation = client.client.engine._loop
    results = [slow.result(), rpc.shop.echo("parent again")]
    assert client.client.engine._loop is generation
    client.stop()
    return status, said, results


def test_forked_child_connects_anew_and_its_parent_is_not_disturbed(uri, queues):
    status, said, results = run_native(fork, uri)

    assert (status, said) == (0, "child")
    assert results == [0.5, "parent again"]
    assert [name for name in queues() if "standalone" in name] == []


def test_client_works_where_eventlet_has_patched_everything(uri):
    # This process is patched: what follows runs in green threads.
    client = ClusterRpcProxy({"AMQP_URI": uri})
    with client as rpc, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(rpc.shop.echo, range(50)))
        pending = client.client.engine.pending

    assert results == list(range(50))
    assert pending == 0
