"""The HTTP service of the measurements, on bare Starlette: it injects nothing."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from benchmarks.peers.uvicorn_server import serve


async def hello(request):
    """Return a text."""
    return PlainTextResponse("hello world")


async def order(request):
    """Return a part of what was sent."""
    order = await request.json()
    answer = {"order": order["order"], "sku": order["sku"], "status": "reserved"}
    return JSONResponse(answer)


async def wait(request):
    """Return a text after 50 ms in which others have their turn."""
    await asyncio.sleep(0.05)
    return PlainTextResponse("hello world")


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/orders", order, methods=["POST"]),
        Route("/wait", wait),
    ]
)


if __name__ == "__main__":
    serve(app, "starlette")
