"""Runs an ASGI application on uvicorn with uvloop and httptools, until the harness is gone."""

import asyncio
import os

import uvicorn
import uvloop

from benchmarks.peers.conversation import MOMENT, read_settings, say_ready


def serve(application, *packages):
    """Serve it; tell the runner when it can be asked."""
    settings = read_settings()
    uvloop.run(_serve(application, settings["port"], packages))


async def _serve(application, port, packages):
    # The time that idle connections stay open is rpcnode's, and that of nginx.
    config = uvicorn.Config(
        application,
        port=port,
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    runner = os.getppid()
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(MOMENT)
    say_ready(*packages, "uvicorn", "uvloop", "httptools")
    while os.getppid() == runner:
        await asyncio.sleep(1)
    server.should_exit = True
    await serving
