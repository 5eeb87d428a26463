"""A FastAPI application that calls services.

$ AMQP_URI=amqp://localhost uvicorn examples.fastapi_app:app
"""

import asyncio
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from rpcnode.exceptions import BrokerUnavailable, RpcTimeout, UnknownService
from rpcnode.standalone.aio import AsyncClusterRpc, AsyncEventDispatcher


@asynccontextmanager
async def lifespan(app):
    config = {"AMQP_URI": os.environ["AMQP_URI"]}
    client = AsyncClusterRpc(config, timeout=5)
    dispatcher = AsyncEventDispatcher(config)
    # Without waiting: the application answers, with errors, while there is no broker.
    app.state.rpc = await client.start(wait=False)
    app.state.dispatch = await dispatcher.start(wait=False)
    try:
        yield
    finally:
        await asyncio.gather(client.stop(), dispatcher.stop())


app = FastAPI(lifespan=lifespan)


@app.post("/bills")
async def bill(order: dict):
    return {"total": await app.state.rpc.billing.total(order["amounts"], tax=1)}


@app.post("/bills/all")
async def bill_all(orders: list[dict]):
    calls = [app.state.rpc.billing.total(order["amounts"]) for order in orders]
    return {"totals": await asyncio.gather(*calls)}


@app.post("/orders", status_code=202)
async def place_order(order: dict):
    await app.state.dispatch("orders", "placed", order)


@app.exception_handler(RpcTimeout)
async def is_too_late(_request: Request, error: RpcTimeout):
    return JSONResponse({"error": str(error)}, 504)


@app.exception_handler(UnknownService)
@app.exception_handler(BrokerUnavailable)
async def is_not_there(_request: Request, error: Exception):
    return JSONResponse({"error": str(error)}, 503)
