"""The client of the measurements, on FastStream."""

import asyncio

from faststream.rabbit import RabbitBroker, RabbitExchange

from benchmarks.peers.calling import Load, call_first_async
from benchmarks.peers.conversation import payload, read_settings
from benchmarks.peers.dispatching import Dispatching

PLACED = RabbitExchange("placed", declare=False)
TIMEOUT = 30


async def rpc(broker, settings):
    """Put the load on, and measure."""
    load = Load(settings)
    call = caller(broker, settings)
    tasks = [asyncio.create_task(load.await_repeatedly(call)) for _ in range(settings["in_flight"])]
    await load.measure_async()
    await asyncio.wait(tasks, timeout=1)


async def first(broker, settings):
    """Call a service that may still be starting."""
    await call_first_async(caller(broker, settings))


def caller(broker, settings):
    """Return the function that makes a call."""
    argument, persist = payload(settings["payload_size"]), settings["persistent"]

    async def call():
        reply = await broker.request(argument, "bench", timeout=TIMEOUT, persist=persist)
        return await reply.decode()

    return call


async def events(broker, settings):
    """Dispatch for a while."""
    dispatching = Dispatching(settings)
    dispatch = dispatcher(broker)
    tasks = [
        asyncio.create_task(dispatching.dispatch_repeatedly_async(dispatch))
        for _ in range(settings["in_flight"])
    ]
    await dispatching.measure_async(dispatch)
    await asyncio.wait(tasks, timeout=1)


async def event(broker, settings):
    """Dispatch one event."""
    dispatching = Dispatching(settings)
    await dispatcher(broker)(dispatching.event())
    dispatching.say_done()


def dispatcher(broker):
    """Return the function that dispatches an event."""
    return lambda event: broker.publish(event, exchange=PLACED, persist=True)


JOBS = {"rpc": rpc, "first": first, "events": events, "event": event}


async def main():
    """Do the job."""
    settings = read_settings()
    broker = RabbitBroker(settings["uri"], logger=None)
    await broker.start()
    await JOBS[settings["job"]](broker, settings)
    await asyncio.Event().wait()  # until the harness ends it


if __name__ == "__main__":
    asyncio.run(main())
