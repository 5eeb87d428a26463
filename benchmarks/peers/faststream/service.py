"""The services of the measurements, on FastStream."""

import asyncio

from faststream import Depends
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from benchmarks.peers.conversation import read_settings, say_ready
from benchmarks.peers.dispatching import Handling

PLACED = RabbitExchange("placed", type=ExchangeType.FANOUT, durable=True)
DEFAULT_PREFETCH = 10


def answer():
    """Return what a handler answers with: a function that gives back its argument."""
    return lambda value: value


def brokers_for(settings):
    """Return brokers with what the job needs: one, but one for each service of a chain.

    A broker makes one request at a time: services that share one and call each other would wait
    for themselves.
    """
    names = settings.get("services", [])
    if settings["job"] == "chain":
        brokers = [new_broker(settings) for _ in names]
        for broker, name, following in zip(brokers, names, [*names[1:], None], strict=True):
            subscribe_call(broker, RabbitQueue(name, durable=True), following)
        return brokers
    broker = new_broker(settings)
    for name in names:
        subscribe_call(broker, RabbitQueue(name, durable=True), None)
    handling = Handling(settings)
    for number in range(settings.get("handlers", 0)):
        subscribe_handler(broker, RabbitQueue(f"placed-{number}", durable=True), handling)
    return [broker]


def new_broker(settings):
    """Return a broker without subscribers."""
    channel = Channel(prefetch_count=settings["workers"] or DEFAULT_PREFETCH)
    return RabbitBroker(settings["uri"], default_channel=channel, logger=None)


def subscribe_call(broker, queue, following):
    """Subscribe what answers calls, itself or by calling the following service."""
    if following is None:
        subscribe_echo(broker, queue)
    else:
        subscribe_link(broker, queue, following)


def subscribe_echo(broker, queue):
    """Subscribe a handler that answers with what it was given."""

    @broker.subscriber(queue)
    async def echo(body: dict, answer=Depends(answer)):  # noqa: B008 (the way of FastStream)
        return answer(body)


def subscribe_link(broker, queue, following):
    """Subscribe a handler that answers with what the next one answers."""

    @broker.subscriber(queue)
    async def link(body: dict):
        reply = await broker.request(body, following, timeout=30)
        return await reply.decode()


def subscribe_handler(broker, queue, handling):
    """Subscribe a handler of the event."""

    @broker.subscriber(queue, PLACED)
    async def handle(event: dict):
        handling.handle(event)


async def main():
    """Serve until the harness ends it."""
    for broker in brokers_for(read_settings()):
        await broker.start()
    say_ready("faststream", "aio-pika", "aiormq", "pamqp", "pydantic", queue="placed-0")
    await asyncio.Event().wait()  # until the harness ends it


if __name__ == "__main__":
    asyncio.run(main())
