"""Fifty tasks that call through one client while their broker is restarted, or takes nothing.

`RPCNODE_TEST_RESTARTS` says how often it is (1), `RPCNODE_TEST_TASKS` how many tasks call while
it takes nothing (2,000); the proof at full size has 3, and 10,000.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from rpcnode.exceptions import RpcNodeError
from rpcnode.standalone import loop
from rpcnode.standalone.aio import AsyncClusterRpc
from tests.faults.test_pressure import memory_alarm
from tests.faults.test_standalone import RESTARTS, TIMEOUT, outcome_of_restarts, resources
from tests.hosting import hosted
from tests.standalone.native import run_native
from tests.standalone.services import Shop

TASKS = 50
AT_ONCE = int(os.environ.get("RPCNODE_TEST_TASKS", "2000"))
SECONDS = 2  # for each of them


class Tally:
    """What came of the calls of all tasks."""

    def __init__(self):
        self.returned = self.failed = 0
        self.slowest = 0.0
        self.wrong = []

    async def call(self, rpc, question):
        began = monotonic()
        try:
            answer = await rpc.shop.echo.with_options(timeout=TIMEOUT)(question)
        except RpcNodeError:
            self.failed += 1
        except Exception as exc:
            self.wrong.append(repr(exc))
        else:
            self.returned += 1
            if answer != question:
                self.wrong.append([question, answer])
        self.slowest = max(self.slowest, monotonic() - began)


async def until(is_true):
    """Wait until a condition holds; fail when it does not in time."""
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.02)


def call_from_tasks(uri, folder):
    """Call from many tasks until a file appears; another one has the number of answers."""
    stop, returned = Path(folder, "stop"), Path(folder, "returned")
    tally = Tally()

    async def work(rpc, number):
        call = 0
        while not stop.exists():
            await tally.call(rpc, [number, call])
            call += 1

    async def tell():
        while not stop.exists():
            part = Path(folder, "part")
            part.write_text(str(tally.returned))
            part.rename(returned)
            await asyncio.sleep(0.2)  # a report is enough so often

    async def main():
        before = resources()
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start()
        await asyncio.gather(tell(), *(work(rpc, number) for number in range(TASKS)))
        pending = client.engine.pending
        await client.stop()
        await until(lambda: resources() == before)
        return {"pending": pending, **vars(tally)}

    return asyncio.run(main())


@pytest.mark.timeout(60 * (1 + RESTARTS))
def test_every_task_has_its_own_answer_or_an_error_while_the_broker_restarts(own_server, tmp_path):
    outcome = outcome_of_restarts(own_server, tmp_path, call_from_tasks)

    assert outcome["wrong"] == []
    assert outcome["slowest"] < TIMEOUT + 1
    assert outcome["pending"] == 0


def call_at_once(uri, calls):
    loop.MOST_WAITING = calls - calls // 20  # the others wait for room

    async def call(echo):
        began = monotonic()
        try:
            await echo("anybody there?")
        except Exception as exc:
            return type(exc).__name__, monotonic() - began
        return "returned", monotonic() - began

    async def main():
        client = AsyncClusterRpc({"AMQP_URI": uri})
        rpc = await client.start()
        echo = rpc.shop.echo.with_options(timeout=SECONDS)
        outcomes = await asyncio.gather(*(call(echo) for _ in range(calls)))
        await until(lambda: client.engine.pending == 0)
        await client.stop()
        kinds = Counter(kind for kind, _seconds in outcomes)
        return kinds, max(seconds for _kind, seconds in outcomes)

    return asyncio.run(main())


def test_thousands_of_tasks_end_in_time_while_the_broker_takes_nothing(own_server):
    with hosted({"AMQP_URI": own_server.uri}, Shop), memory_alarm(own_server):
        kinds, slowest = run_native(call_at_once, own_server.uri, AT_ONCE)

    print(kinds, slowest)
    assert sum(kinds.values()) == AT_ONCE
    assert set(kinds) <= {"RpcTimeout", "BrokerUnavailable"}
    assert slowest < SECONDS + 1
