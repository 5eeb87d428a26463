"""The HTTP service of the measurements, on FastAPI."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse

from benchmarks.peers.uvicorn_server import serve

app = FastAPI()


async def greeting():
    """Return a function that makes a greeting: the injected dependency."""
    return lambda name: f"hello {name}"


@app.get("/hello", response_class=PlainTextResponse)
async def hello(greet: Annotated[object, Depends(greeting)]):
    """Return a text."""
    return greet("world")


@app.post("/orders")
async def order(request: Request):
    """Return a part of what was sent, which is not validated."""
    order = await request.json()
    return {"order": order["order"], "sku": order["sku"], "status": "reserved"}


@app.get("/wait", response_class=PlainTextResponse)
async def wait(greet: Annotated[object, Depends(greeting)]):
    """Return a text after 50 ms in which others have their turn."""
    await asyncio.sleep(0.05)
    return greet("world")


if __name__ == "__main__":
    serve(app, "fastapi", "starlette")
