"""What a peer's programs tell the runner."""

import json
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.peer import ROOT
from benchmarks.peers.calling import Count, Load, call_first
from benchmarks.peers.conversation import MOMENT, payload, say_latencies
from benchmarks.peers.dispatching import Dispatching, Handling

SHORT = {"seconds": 0.05, "warm_up": 0.02}


def said(capsys):
    """Return what was told so far."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def event(sent, total=0):
    """Return an event as a dispatcher makes it."""
    return {"sent": f"{sent:.6f}", "total": total}


@pytest.mark.parametrize("size", [100, 10_000])
def test_payload_has_the_size_that_is_asked_for(size):
    value = payload(size)

    assert len(json.dumps(value)) == size


def test_load_counts_calls_after_the_warm_up_and_tells_their_percentiles(capsys):
    load = Load(SHORT)
    caller = threading.Thread(target=load.call_repeatedly, args=[lambda: time.sleep(MOMENT)])
    caller.start()

    load.measure()

    caller.join()
    begin, end, latencies = said(capsys)
    assert (begin["event"], end["event"], latencies["event"]) == ("begin", "end", "latencies")
    assert end["calls"] > 0
    assert end["seconds"] >= SHORT["seconds"]
    assert latencies["p99"] >= latencies["p50"] >= MOMENT


def test_load_ends_at_the_first_call_that_fails_and_says_why(capsys):
    load = Load(SHORT)

    def fail():
        raise ValueError("no reply")

    load.call_repeatedly(fail)

    assert load.is_over
    load.measure()
    assert said(capsys)[1]["failure"] == "ValueError: no reply"


TASKS = """
import asyncio

from benchmarks.peers.calling import Load
from benchmarks.peers.dispatching import Dispatching, Handling

SHORT = {"seconds": 0.05, "warm_up": 0.02, "payload_size": 100}


async def calls():
    load = Load(SHORT)
    task = asyncio.create_task(load.await_repeatedly(lambda: asyncio.sleep(0)))
    await load.measure_async()
    await task


async def events():
    handling, dispatching = Handling({}), Dispatching(SHORT)

    async def dispatch(event):
        await asyncio.sleep(0)
        handling.handle(event)

    task = asyncio.create_task(dispatching.dispatch_repeatedly_async(dispatch))
    await dispatching.measure_async(dispatch)
    await task


asyncio.run(calls())
asyncio.run(events())
"""


def test_tasks_of_asyncio_count_the_same():
    # In a process of its own: this one is patched, and asyncio does not like that.
    command = [sys.executable, "-c", TASKS]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    _begin, end, latencies, _begin_of_events, handled, _latencies, dispatched = lines
    assert end["calls"] > 0
    assert latencies["p50"] <= latencies["p99"]
    assert handled["handled"] == dispatched["calls"] > 1


def test_count_tells_of_each_mark(capsys):
    count, calls = Count([2, 5]), []

    count.call_repeatedly(lambda: calls.append(1))

    assert [line["calls"] for line in said(capsys)] == [2, 5]
    assert len(calls) == 5


def test_first_call_tells_its_failure(capsys):
    def fail():
        raise ValueError("unknown service")

    call_first(fail)

    begin, end = said(capsys)
    assert begin == {"event": "begin"}
    assert end["failure"] == "ValueError: unknown service"


def test_handlers_are_done_when_each_has_had_all_events_in_any_order(capsys):
    handling = Handling({"handlers": 2})
    last = event(11.0, total=3)

    for each in (event(10.0), last, event(10.5), last, event(10.0)):
        handling.handle(each)
    before = said(capsys)
    handling.handle(event(10.5))

    end, latencies = said(capsys)
    assert before == []
    assert (end["event"], end["handled"]) == ("end", 6)
    assert latencies["event"] == "latencies"


def test_events_that_warm_up_do_not_count(capsys):
    handling = Handling({})

    handling.handle(event(0))
    handling.handle(event(10.0, total=1))

    assert said(capsys)[0]["handled"] == 1


def test_drain_begins_with_the_first_event_and_ends_with_the_last(capsys):
    handling = Handling({"total": 2})

    handling.handle(event(10.0))
    handling.handle(event(10.0))

    assert [line["event"] for line in said(capsys)] == ["begin", "end", "latencies"]


def test_all_that_is_dispatched_is_handled(capsys):
    handling, dispatching = (
        Handling({}),
        Dispatching({**SHORT, "payload_size": 100, "in_flight": 2}),
    )

    def dispatch(each):
        time.sleep(0)  # as whoever sends does
        handling.handle(each)

    dispatchers = [
        threading.Thread(target=dispatching.dispatch_repeatedly, args=[dispatch]) for _ in range(2)
    ]
    for each in dispatchers:
        each.start()

    dispatching.measure(dispatch)

    begin, handled, _latencies, dispatched = said(capsys)
    assert begin == {"event": "begin"}
    assert handled["handled"] == dispatched["calls"] > 2
    assert dispatched["failure"] is None


def test_the_one_dispatcher_of_a_thread_counts_the_same(capsys):
    handling, dispatching = Handling({}), Dispatching({**SHORT, "payload_size": 100})

    dispatching.measure_here(handling.handle)

    _begin, handled, _latencies, dispatched = said(capsys)
    assert handled["handled"] == dispatched["calls"] > 1


def test_an_event_has_the_size_that_is_asked_for():
    dispatching = Dispatching({"payload_size": 100})

    found = len(json.dumps(dispatching.event()))

    assert abs(found - 100) < 16  # the clock has as many digits as it needs


def test_dispatcher_that_fails_is_told(capsys):
    dispatching = Dispatching({**SHORT, "payload_size": 100})
    refused = []

    def refuse(each):
        refused.append(each)
        if len(refused) == 1:
            raise OSError("no broker")

    dispatching.dispatch_repeatedly(refuse)
    dispatching.measure(refuse)  # the last event of all is dispatched nevertheless

    assert said(capsys)[-1]["failure"] == "OSError: no broker"


def test_percentiles_are_those_of_the_nearest_rank(capsys):
    say_latencies([0.3, 0.1, 0.2])

    assert said(capsys) == [{"event": "latencies", "p50": 0.2, "p99": 0.3}]
