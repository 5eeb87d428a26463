"""One connection to the broker for any number of threads, or for an event loop.

An `Engine` runs an I/O thread, which sends requests, receives replies, keeps the connection and
watches the time. Nothing here waits but where it says so: each entry point returns a future at
once, so that threads wait for it (`future.result()`) and asyncio awaits it
(`asyncio.wrap_future(future)`).

- `start(timeout)` returns a future that is done with the first connection. It fails with
  BrokerRefused or ConfigurationError when there will never be one, with BrokerUnavailable after
  `timeout` seconds (None: never); whoever started it without success has it not running then.
  Starting what runs is fine.
- `stop()` returns a future that is done when nothing is left: the last confirms are in, the
  reply queue is deleted, the connection is closed. Calls that wait for their reply fail with
  ConnectionLost. An engine that was stopped can be started again.
- `submit(request)` returns the request's own future, always; it fails within the time that the
  request has (its `budget`), wherever that is spent. Cancelling it withdraws the request. With
  `MOST_WAITING` requests waiting already, it fails with BrokerUnavailable at once:
  `wait_for_room` and `room` are for those who rather wait.

Requests are made by `rpcnode.standalone.client.Client`: `client.call(method, args, kwargs)`,
`client.call_async(...)`, `client.cast(...)`, and by `rpcnode.standalone.event_client.EventClient`:
`dispatch(service, event_type, event_data, options)`. Futures are done in the I/O thread, and so
are their callbacks: these must not block.

In a forked child, an engine that was running connects anew when it is used first; the
connection of the parent is not disturbed. An engine that nobody has any more stops by itself.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any

from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import BrokerUnavailable, ClientNotRunning
from rpcnode.standalone.link import StartLimit
from rpcnode.standalone.living import living
from rpcnode.standalone.loop import MOST_WAITING, Loop
from rpcnode.standalone.requests import Pending, Request

START_TIMEOUT = 10.0  # seconds for the first connection
THREAD_NAME = "rpcnode-client"


class Engine:
    """Sends requests to one broker; see the module.

    `make_reply_queue(address)` returns the kombu queue where replies arrive; without it there
    are none.
    """

    def __init__(
        self, settings: BrokerSettings, make_reply_queue: Callable[[str], Any] | None = None
    ) -> None:
        self.settings = settings
        self._make_reply_queue = make_reply_queue
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._is_wanted = False  # started, and not stopped

    def __repr__(self) -> str:
        return f"<Engine {self.settings.safe_uri}>"

    @property
    def is_running(self) -> bool:
        """Whether requests are taken."""
        loop = self._loop
        return self._is_wanted and not (loop is not None and loop.is_ending)

    @property
    def pending(self) -> int:
        """How many calls wait for their reply, and requests for a connection."""
        loop = self._loop
        return 0 if loop is None else len(loop.traffic)

    def start(self, timeout: float | None = START_TIMEOUT) -> "Future[None]":
        """Connect; see the module."""
        with self._lock:
            self._is_wanted = True
            loop = self._loop
            is_new = loop is None or loop.is_ending
            if loop is None or is_new:
                loop = self._loop = self._new_loop()
        started = _follow(loop.started)
        if timeout is not None:
            loop.limit_start(StartLimit(timeout, started, is_new))
        return started

    def stop(self) -> "Future[None]":
        """Let go of everything; see the module."""
        with self._lock:
            self._is_wanted = False
            loop = self._loop
            if loop is not None:
                return _follow(loop.stop())
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def submit(self, request: Request) -> Pending:
        """Send a request; see the module."""
        try:
            loop = self._running()
            if loop.is_full:
                raise BrokerUnavailable(
                    f"{MOST_WAITING} requests wait for the broker already, so {request.name} "
                    "was not sent"
                )
            if not loop.begin(request):
                raise _not_running(loop)
        except Exception as exc:  # those who await it must hear of it in the same way
            request.fail(exc)
        return request.future

    @property
    def is_full(self) -> bool:
        """Whether no more requests are taken for now."""
        loop = self._loop
        return loop is not None and loop.is_full

    def wait_for_room(self, seconds: float | None) -> None:
        """Wait, at most so long, while too many requests wait already."""
        ends = None if seconds is None else monotonic() + seconds
        while self.is_full:
            room = self.room()
            try:
                room.result(None if ends is None else max(0.0, ends - monotonic()))
            except TimeoutError:
                room.cancel()
                return

    def room(self) -> Pending:
        """Return a future that is done as soon as more requests are taken."""
        loop = self._loop
        if loop is not None:
            return loop.room()
        room = Pending()
        room.set_result(None)
        return room

    def forked(self) -> None:
        """Take note that this is a child: what it has of its parent is not its own."""
        self._lock = threading.Lock()  # another thread of the parent may hold the old one
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.forked()

    def __del__(self) -> None:
        # Nobody has the client any more, nor waits for anything: each call has it.
        if self._loop is not None:
            self._loop.stop()

    def _running(self) -> Loop:
        loop = self._loop
        if self._is_wanted:
            if loop is None:  # in a child
                with self._lock:
                    loop = self._loop = self._loop or self._new_loop()
            return loop
        raise _not_running(loop)

    def _new_loop(self) -> Loop:
        loop = Loop(self.settings, self._make_reply_queue)
        living.add(self)
        living.add(loop)  # at the end of the program, it may have nobody else any more
        threading.Thread(target=loop.run, name=THREAD_NAME, daemon=True).start()
        return loop


def _not_running(loop: Loop | None) -> Exception:
    if loop is None:
        return ClientNotRunning("the client is not started: use `with`, or call start()")
    if loop.failure is not None:
        return type(loop.failure)(*loop.failure.args)
    return ClientNotRunning("the client was stopped: use `with`, or call start()")


def _follow(source: "Future[None]") -> "Future[None]":
    """Return a future of its own for each who waits: they may cancel it."""
    target = Pending()

    def copy(_source: "Future[None]") -> None:
        if target.done() or not target.set_running_or_notify_cancel():
            return
        error = source.exception()
        if error is None:
            target.set_result(None)
        else:
            target.set_exception(error)

    source.add_done_callback(copy)
    return target
