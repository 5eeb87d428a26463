"""Calls and events from a program that runs on asyncio."""

import asyncio
import sys

from rpcnode.exceptions import RpcTimeout
from rpcnode.standalone.aio import AsyncClusterRpc, AsyncEventDispatcher, AsyncServiceRpc


async def bill(config, amounts):
    async with AsyncClusterRpc(config) as rpc:
        return await rpc.billing.total(amounts, tax=1)


async def bill_all(config, orders):
    async with AsyncServiceRpc("billing", config, timeout=5) as billing:
        return await asyncio.gather(*(billing.total(amounts) for amounts in orders))


async def bill_in_the_background(rpc, amounts):
    total = asyncio.create_task(rpc.billing.total(amounts))
    await rpc.billing.charge.cast(0)  # no reply wanted
    return await total


async def reserve(rpc, card):
    try:
        async with asyncio.timeout(0.1):  # what is cancelled is withdrawn
            await rpc.billing.reserve.with_options(timeout=2)(card, 1)
    except TimeoutError:
        return "given up"
    except RpcTimeout as exc:
        return f"try again later: {exc}"


async def place_orders(config, orders):
    async with AsyncEventDispatcher(config) as dispatch:
        for order in orders:
            await dispatch("orders", "placed", order)


async def main(uri):
    config = {"AMQP_URI": uri}
    print(await bill(config, [2, 3]))
    print(await bill_all(config, [[1], [2, 3]]))
    async with AsyncClusterRpc(config) as rpc:
        print(await bill_in_the_background(rpc, [4]))
        print(await reserve(rpc, {"number": "4111"}))
    await place_orders(config, [{"id": 1}, {"id": 2}])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
