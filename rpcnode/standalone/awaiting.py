"""How asyncio waits for what the I/O thread does."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from rpcnode.standalone.engine import Engine


class EventLoops:
    """Wakes the tasks that wait, each in its own event loop."""

    def __init__(self) -> None:
        self._arrivals: WeakKeyDictionary[asyncio.AbstractEventLoop, _Arrivals]
        self._arrivals = WeakKeyDictionary()

    async def outcome_of(self, future: "Future[Any]") -> Any:
        """Return the result or raise the error; what is cancelled while waiting is withdrawn.

        `asyncio.wrap_future` does the same with a wake-up for each future: see `_Arrivals`.
        """
        if not future.done():
            event_loop = asyncio.get_running_loop()
            done = event_loop.create_future()
            arrivals = self._arrivals.setdefault(event_loop, _Arrivals())
            future.add_done_callback(partial(arrivals.put, done))
            try:
                await done
            finally:
                future.cancel()  # it changes nothing once it is done
        return future.result()

    async def room_in(self, engine: Engine, seconds: float | None) -> None:
        """Wait, at most so long, while too many requests wait already."""
        with suppress(TimeoutError):  # whoever sends now is told
            async with asyncio.timeout(seconds):
                while engine.is_full:
                    await self.outcome_of(engine.room())


class _Arrivals:
    """What is done and not yet told to one event loop, which is woken once for all of it.

    One wake-up for each would let both threads fight for the interpreter: measured, 12,000 calls
    that end at once took 3 s longer. As in the `Inbox`, there are no locks.
    """

    def __init__(self) -> None:
        self._done: deque[asyncio.Future[None]] = deque()
        self._is_told = False

    def put(self, done: "asyncio.Future[None]", _future: "Future[Any]") -> None:
        """Have the event loop of a future finish it; any thread may call this."""
        self._done.append(done)
        event_loop = done.get_loop()
        if self._is_told and not event_loop.is_closed():
            return
        self._is_told = True
        try:
            event_loop.call_soon_threadsafe(self._finish_all)
        except RuntimeError:  # it is closed: nobody waits
            self._done.clear()

    def _finish_all(self) -> None:
        self._is_told = False
        while self._done:
            done = self._done.popleft()
            if not done.done():
                done.set_result(None)
