"""The service of the measurements, on aio-pika."""

import asyncio
import json

import aio_pika
from aio_pika.patterns.rpc import JsonRPC

from benchmarks.peers.conversation import read_settings, say_ready
from benchmarks.peers.dispatching import Handling

PLACED = "placed"


async def serve_calls(channel):
    """Answer calls with what they were given."""
    rpc = await JsonRPC.create(channel)

    async def echo(value):
        return value

    await rpc.register("echo", echo, durable=True)
    return rpc


async def handle_events(channel, handling):
    """Handle events."""
    exchange = await channel.declare_exchange(PLACED, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(f"{PLACED}-bench", durable=True)
    await queue.bind(exchange, PLACED)

    async def handle(message):
        async with message.process():
            handling.handle(json.loads(message.body))

    await queue.consume(handle)


async def main():
    """Serve until the harness ends it."""
    settings = read_settings()
    connection = await aio_pika.connect_robust(settings["uri"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=settings["workers"])
    if settings["job"] == "events":
        served = await handle_events(channel, Handling(settings))
    else:
        served = await serve_calls(channel)
    say_ready("aio-pika", "aiormq", "pamqp")
    await asyncio.Event().wait()  # until the harness ends it
    return served


if __name__ == "__main__":
    asyncio.run(main())
