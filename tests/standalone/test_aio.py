"""Calls and events from asyncio, in programs that nothing has patched."""

import asyncio
import gc
import logging
import os
import socket
import threading
import time
import warnings

import pytest

from rpcnode.exceptions import (
    BrokerRefused,
    BrokerUnavailable,
    ClientNotRunning,
    ConfigurationError,
    ConnectionLost,
    MethodNotFound,
    RemoteError,
    RpcTimeout,
    UndeliverableMessage,
    UnknownService,
    UnserializableValueError,
)
from rpcnode.retry import Fixed, Retry
from rpcnode.standalone import loop
from rpcnode.standalone.aio import AsyncClusterRpc, AsyncEventDispatcher, AsyncServiceRpc
from tests.hosting import wait_until
from tests.standalone.native import run_native
from tests.standalone.services import NotInStock

TICK = 0.002  # seconds
LONGEST_LAG = 0.5  # seconds that the event loop may be late on a busy machine


class Ticks:
    """Notices when nothing else has its turn in the event loop."""

    def __init__(self):
        self.lag = 0.0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_exc):
        self._task.cancel()

    async def _tick(self):
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK)
            self.lag = max(self.lag, time.monotonic() - began - TICK)


async def until(is_true, seconds=10):
    """Wait until a condition holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not is_true():
            await asyncio.sleep(0.005)


def threads_of_clients():
    return [each.name for each in threading.enumerate() if each.name.startswith("rpcnode")]


def call_in_every_way(uri):
    async def main():
        config = {"AMQP_URI": uri}
        async with AsyncClusterRpc(config, context_data={"language": "en"}, timeout=7) as rpc:
            results = [await rpc.shop.echo(1), await rpc["shop"].echo(2)]
            reply = rpc.shop.echo.call_async(value=3)
            results += [await reply, await rpc.shop["echo"].with_options(timeout=5)(4)]
            many = await asyncio.gather(*(rpc.shop.echo([number]) for number in range(200)))
            assert many == [[number] for number in range(200)]
            await rpc.shop.note.cast("cast")
            seen = await rpc.shop.seen.with_options(headers={"x-trace": "t1"})()
        async with AsyncServiceRpc("shop", uri=uri) as shop:
            results.append(await shop.echo(5))
        async with AsyncEventDispatcher(config) as dispatch:
            await asyncio.gather(*(dispatch("orders", "placed", number) for number in range(6)))
        await until(lambda: threads_of_clients() == [])
        return results, seen

    return asyncio.run(main())


def test_services_are_called_and_events_dispatched_in_every_way(uri, shop, queues):
    results, seen = run_native(call_in_every_way, uri)

    assert results == [1, 2, 3, 4, 5]
    assert seen["data"]["language"] == "en"
    assert seen["headers"]["x-trace"] == "t1"
    assert 6 < seen["remaining"] <= 7
    wait_until(lambda: shop.ran == ["cast"] and sorted(shop.heard) == [0, 1, 2, 3, 4, 5])
    assert [name for name in queues() if "standalone" in name] == []


def see_every_error(uri):
    errors = {}

    async def fails(expected, awaitable, what=None):
        with pytest.raises(expected) as caught:
            async with asyncio.timeout(2):
                await awaitable
        errors[what or expected.__name__] = str(caught.value)

    async def main():
        async with AsyncClusterRpc({"AMQP_URI": uri}) as rpc:
            await fails(UnknownService, rpc.nobody.method())
            await fails(MethodNotFound, rpc.shop.nothing())
            await fails(RemoteError, rpc.shop.fail())
            await fails(NotInStock, rpc.shop.order("apples"))
            await fails(RpcTimeout, rpc.shop.wait.with_options(timeout=0.2)(1))
            await fails(UnserializableValueError, rpc.shop.echo(object()))
            await fails(UnknownService, rpc.nobody.method.cast(), "cast")
            again = rpc.nobody.method.with_options(retry=Retry(3, delay=Fixed(0.01)))
            with pytest.raises(UnknownService) as caught:
                await again()
            errors["notes"] = caught.value.__notes__
            assert await rpc.shop.echo("and it goes on") == "and it goes on"
        async with AsyncEventDispatcher({"AMQP_URI": uri}) as dispatch:
            await fails(UndeliverableMessage, dispatch("nobody", "listens", mandatory=True))
            await fails(ConfigurationError, dispatch("orders", "placed", delay=5))
            await dispatch("orders", "placed", "and it goes on")

    asyncio.run(main())
    return errors


def test_every_error_arrives_as_itself_and_names_what_was_called(uri):
    errors = run_native(see_every_error, uri)

    assert errors["UnknownService"] == "Unknown service `nobody` (calling nobody.method)"
    # Its service may be the first to say so.
    assert "shop.wait" in errors["RpcTimeout"]
    assert "0.2 s" in errors["RpcTimeout"]
    assert errors["NotInStock"] == "apples"
    assert errors["notes"] == ["after 3 attempts"]
    assert "for services only" in errors["ConfigurationError"]


def use_wrongly(uri, wrong):
    errors = {}

    async def fails(what, expected, awaitable):
        with pytest.raises(expected) as caught:
            async with asyncio.timeout(5):
                await awaitable
        errors[what] = str(caught.value)

    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        dispatch = AsyncEventDispatcher({"AMQP_URI": uri})
        await fails("not started", ClientNotRunning, client._face.shop.echo(1))
        await fails("not started, event", ClientNotRunning, dispatch("orders", "placed"))
        rpc = await client.start()
        assert await client.start() is rpc
        assert await rpc.shop.echo(1) == 1
        in_flight = asyncio.create_task(rpc.shop.wait(1))
        await until(lambda: client.engine.pending == 1)
        await client.stop()
        await client.stop()
        await fails("in flight", ConnectionLost, in_flight)
        await fails("stopped", ClientNotRunning, rpc.shop.echo(1))
        async with client as again:
            assert await again.shop.echo(2) == 2
        for what, address in wrong.items():
            broken = AsyncClusterRpc({"AMQP_URI": address})
            await fails(what, BrokerRefused, broken.start())
            await fails(f"{what}, after", BrokerRefused, broken._face.shop.echo(1))
        await until(lambda: threads_of_clients() == [])

    asyncio.run(main())
    for what, options in {"memory": {"uri": "memory://"}, "option": {"nonsense": 1}}.items():
        with pytest.raises(ConfigurationError) as caught:
            AsyncClusterRpc({"AMQP_URI": uri}, **options)
        errors[what] = str(caught.value)
    return errors


def call_outside_of_an_event_loop(uri):
    client = AsyncClusterRpc({"AMQP_URI": uri})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError) as caught:
            client._face.shop.echo.call_async(1)
        message = str(caught.value)
        del caught
        gc.collect()
    return message, [str(each.message) for each in warned]


def test_task_outside_of_an_event_loop_is_refused_without_noise(free_port):
    error, warned = run_native(
        call_outside_of_an_event_loop, f"amqp://guest:guest@127.0.0.1:{free_port}//"
    )

    assert "no running event loop" in error
    assert warned == []


def test_wrong_use_is_told_at_once(uri):
    before, _, after = uri.partition("@")
    wrong = {
        "password": f"amqp://guest:s3cret@{after}",
        "vhost": f"{before}@{after.rpartition('/')[0]}/nowhere",
    }

    errors = run_native(use_wrongly, uri, wrong)

    assert "not started" in errors["not started"]
    assert "not started" in errors["not started, event"]
    assert "shop.wait: the client was stopped" in errors["in flight"]
    assert "stopped" in errors["stopped"]
    assert "refuses us" in errors["password"]
    assert "refuses us" in errors["password, after"]
    assert "nowhere" in errors["vhost"]
    assert "s3cret" not in str(errors)
    assert "memory://" in errors["memory"]
    assert errors["option"] == "AsyncClusterRpc knows no option 'nonsense'"


async def call_together(*calls):
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


def cancel_in_every_way(uri):
    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        async with client as rpc:
            tasks = [asyncio.create_task(rpc.shop.wait(2)) for _ in range(8)]
            tasks.append(rpc.shop.wait.call_async(2))
            await until(lambda: client.engine.pending == 9)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in ended} == {asyncio.CancelledError}
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await rpc.shop.wait(2)
            with pytest.raises(ExceptionGroup):
                await call_together(rpc.shop.wait(2), rpc.nobody.method())
            await until(lambda: client.engine.pending == 0, seconds=1)  # before the replies

    began = time.monotonic()
    asyncio.run(main())
    return time.monotonic() - began


def test_whatever_is_cancelled_leaves_nothing_behind(uri):
    assert run_native(cancel_in_every_way, uri) < 10


def cancel_before_anything_is_sent(uri):
    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start(wait=False)
        never = asyncio.create_task(rpc.shop.note("never"))
        await until(lambda: client.engine.pending == 1)
        never.cancel()
        await until(lambda: client.engine.pending == 0)
        await client.stop()
        started = asyncio.create_task(AsyncClusterRpc({"AMQP_URI": uri}).__aenter__())
        await until(lambda: "rpcnode-client" in threads_of_clients())
        started.cancel()
        await until(lambda: "rpcnode-client" not in threads_of_clients())

    asyncio.run(main())


def test_start_and_calls_are_cancelled_while_there_is_no_broker(free_port):
    run_native(cancel_before_anything_is_sent, f"amqp://guest:guest@127.0.0.1:{free_port}//")


def leave_calls_in_flight(uri):
    noise = []
    handler = logging.Handler()
    handler.emit = lambda record: noise.append(record.getMessage())
    for name in ("asyncio", "concurrent.futures", "rpcnode"):
        logging.getLogger(name).addHandler(handler)
    client = AsyncClusterRpc({"AMQP_URI": uri})

    async def main():
        rpc = await client.start()
        for _ in range(5):
            rpc.shop.wait.call_async(0.3)
            rpc.shop.fail.call_async()
        await asyncio.sleep(0)  # the tasks begin

    asyncio.run(main())  # it cancels them
    closed = asyncio.new_event_loop()
    waiting = closed.create_task(client._face.shop.wait(0.2))
    closed.call_later(0.05, closed.stop)
    closed.run_forever()
    closed.close()  # it does not; the reply comes when nobody is there
    asyncio.run(until(lambda: client.engine.pending == 0))
    waiting._log_destroy_pending = False  # that is said of any task
    del waiting
    gc.collect()
    asyncio.run(client.stop())
    return noise


def test_event_loop_that_ends_with_calls_in_flight_leaves_no_noise(uri):
    assert run_native(leave_calls_in_flight, uri) == []


def call_from_several_event_loops(uri):
    client = AsyncClusterRpc({"AMQP_URI": uri})
    wrong = []

    async def call(number):
        rpc = await client.start()
        for count in range(50):
            if await rpc.shop.echo([number, count]) != [number, count]:
                wrong.append((number, count))

    threads = [threading.Thread(target=asyncio.run, args=(call(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(call("one after the others"))
    asyncio.run(client.stop())
    return wrong


def test_one_client_serves_several_event_loops(uri):
    assert run_native(call_from_several_event_loops, uri) == []


def fork(uri):
    client = AsyncClusterRpc({"AMQP_URI": uri})
    rpc = asyncio.run(client.start())

    async def call(who):
        return await rpc.shop.echo(who)

    assert asyncio.run(call("parent")) == "parent"
    with warnings.catch_warnings():
        # A process with a thread is told that forking is a risk; that is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if asyncio.run(call("child")) == "child" else 2
            asyncio.run(client.stop())
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    result = asyncio.run(call("parent again"))
    asyncio.run(client.stop())
    return status, result


def test_forked_child_connects_anew_and_its_parent_is_not_disturbed(uri):
    assert run_native(fork, uri) == [0, "parent again"]


def look_for_the_broker(uri):
    look_up = socket.getaddrinfo

    def look_up_slowly(*arguments, **options):
        time.sleep(1)  # a name server that takes its time
        return look_up(*arguments, **options)

    async def main():
        socket.getaddrinfo = look_up_slowly
        async with Ticks() as ticks, AsyncClusterRpc({"AMQP_URI": uri}) as rpc:
            socket.getaddrinfo = look_up
            assert await rpc.shop.echo(1) == 1
        return ticks.lag

    return asyncio.run(main())


def test_event_loop_goes_on_while_the_client_looks_for_its_broker(uri):
    assert run_native(look_for_the_broker, uri) < LONGEST_LAG


def send_more_than_may_wait(uri):
    async def main():
        loop.MOST_WAITING = 20
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start()
        questions = list(range(300))
        answers = await asyncio.gather(*(rpc.shop.echo(each) for each in questions))
        await client.stop()
        return answers == questions

    return asyncio.run(main())


def test_more_calls_at_once_than_may_wait_have_their_turn(uri):
    assert run_native(send_more_than_may_wait, uri)


def wait_for_room_in_vain(uri):
    async def main():
        loop.MOST_WAITING = 20
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start(wait=False)
        echo = rpc.shop.echo.with_options(timeout=0.5)
        began = time.monotonic()
        async with Ticks() as ticks:
            calls = (echo(number) for number in range(400))
            ended = await asyncio.gather(*calls, return_exceptions=True)
        took = time.monotonic() - began
        await until(lambda: client.engine.pending == 0)
        await until(lambda: not client.engine._loop._rooms)
        await client.stop()
        return took, ticks.lag, sorted({type(each).__name__ for each in ended})

    return asyncio.run(main())


def test_calls_that_find_no_room_fail_within_their_time(free_port):
    took, lag, errors = run_native(
        wait_for_room_in_vain, f"amqp://guest:guest@127.0.0.1:{free_port}//"
    )

    assert 0.5 <= took < 1.5
    assert lag < LONGEST_LAG
    assert errors in (["BrokerUnavailable", "RpcTimeout"], ["RpcTimeout"])


def wait_for_room_with_events(uri):
    async def outlast(dispatch):
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await dispatch("orders", "placed", timeout=0.5)
        return time.monotonic() - began

    async def main():
        loop.MOST_WAITING = 20
        dispatch = await AsyncEventDispatcher({"AMQP_URI": uri}).start(wait=False)
        took = await asyncio.gather(*(outlast(dispatch) for _ in range(60)))
        await dispatch.stop()
        return max(took)

    return asyncio.run(main())


def test_events_that_find_no_room_fail_within_their_time(free_port):
    slowest = run_native(wait_for_room_with_events, f"amqp://guest:guest@127.0.0.1:{free_port}//")

    assert 0.5 <= slowest < 0.9  # the time is spent once, not for the room and again afterwards


def drop_clients(uri):
    async def main():
        gc.disable()
        for kind in (AsyncClusterRpc, AsyncEventDispatcher):
            client = kind({"AMQP_URI": uri})
            await client.start(wait=False)
            del client
        await until(lambda: threads_of_clients() == [])

    asyncio.run(main())


def test_client_that_nobody_has_any_more_ends_at_once(free_port):
    run_native(drop_clients, f"amqp://guest:guest@127.0.0.1:{free_port}//")


def start_with_each_request(uri):
    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        await client.start(wait=False)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(1000):
            await client.start(wait=False)
        gc.collect()
        grown = len(gc.get_objects()) - before
        await client.stop()
        return grown

    return asyncio.run(main())


def test_starting_what_is_started_leaves_nothing_while_there_is_no_broker(free_port):
    grown = run_native(start_with_each_request, f"amqp://guest:guest@127.0.0.1:{free_port}//")

    assert grown < 500


def start_where_nobody_answers(uri):
    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start(wait=False)
        with pytest.raises(RpcTimeout, match="nothing was sent"):
            await rpc.shop.echo.with_options(timeout=0.3)(1)
        dispatch = await AsyncEventDispatcher({"AMQP_URI": uri}).start(wait=False)
        with pytest.raises(BrokerUnavailable, match="was not sent"):
            await dispatch("orders", "placed", timeout=0.3)
        await asyncio.gather(client.stop(), dispatch.stop())

    began = time.monotonic()
    asyncio.run(main())
    return time.monotonic() - began


def test_calls_and_events_without_a_broker_fail_within_their_time(free_port):
    took = run_native(start_where_nobody_answers, f"amqp://guest:guest@127.0.0.1:{free_port}//")

    assert took < 3
