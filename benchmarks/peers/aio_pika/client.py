"""The client of the measurements, on aio-pika."""

import asyncio
import json

import aio_pika
from aio_pika.patterns.rpc import JsonRPC

from benchmarks.peers.calling import Load
from benchmarks.peers.conversation import payload, read_settings
from benchmarks.peers.dispatching import Dispatching

PLACED = "placed"


async def rpc(channel, settings):
    """Put the load on, and measure."""
    load = Load(settings)
    remote = await JsonRPC.create(channel)
    argument = {"value": payload(settings["payload_size"])}
    tasks = [
        asyncio.create_task(load.await_repeatedly(lambda: remote.call("echo", argument)))
        for _ in range(settings["in_flight"])
    ]
    await load.measure_async()
    await asyncio.wait(tasks, timeout=1)


async def events(channel, settings):
    """Dispatch for a while."""
    dispatching = Dispatching(settings)
    exchange = await channel.get_exchange(PLACED)

    async def dispatch(event):
        message = aio_pika.Message(
            json.dumps(event).encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, PLACED)

    tasks = [
        asyncio.create_task(dispatching.dispatch_repeatedly_async(dispatch))
        for _ in range(settings["in_flight"])
    ]
    await dispatching.measure_async(dispatch)
    await asyncio.wait(tasks, timeout=1)


async def main():
    """Do the job."""
    settings = read_settings()
    connection = await aio_pika.connect_robust(settings["uri"])
    channel = await connection.channel()
    await (events if settings["job"] == "events" else rpc)(channel, settings)
    await asyncio.Event().wait()  # until the harness ends it


if __name__ == "__main__":
    asyncio.run(main())
