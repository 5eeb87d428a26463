"""One life of the I/O thread: from a client's start to its stop.

The thread owns everything here; others reach it through the inbox alone. So there are no locks.
"""

import logging
import selectors
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import ClientNotRunning
from rpcnode.standalone.inbox import Inbox
from rpcnode.standalone.link import Link, StartLimit
from rpcnode.standalone.requests import Pending, Request
from rpcnode.standalone.session import Session
from rpcnode.standalone.timers import Timers
from rpcnode.standalone.traffic import STOPPED, Traffic
from rpcnode.standalone.waiting import enter_io_thread

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0  # seconds; operating systems know a limit, timeouts need not
MOST_WAITING = 10_000  # requests that wait for a connection or for room
ROOM = 20  # a twentieth of that is room enough to wake those who wait for it

MakeQueue = Callable[[str], Any]  # the reply queue, as a kombu entity, for its routing key


class Loop:
    """Sends requests, receives replies, keeps the connection, watches the time.

    `started` is done with the first connection, `stopped` with the end of the thread.
    """

    def __init__(self, settings: BrokerSettings, make_queue: MakeQueue | None) -> None:
        self.inbox = Inbox()
        self.stopped: Future[None] = Future()
        self.is_ending = False
        self._timers = Timers()
        self.traffic = Traffic(self._timers, lambda: self._link.reason)
        make = None if make_queue is None else lambda: make_queue(str(uuid.uuid4()))
        self._link = Link(settings, make, self.traffic, self._timers)
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[Any, int] | None = None  # the connection's socket, and for what
        self._rooms: dict[Pending, None] = {}  # of those who wait until it is not full

    # What other threads call.

    @property
    def started(self) -> "Future[None]":
        """Done with the first connection."""
        return self._link.started

    @property
    def failure(self) -> Exception | None:
        """The error that ended it before its first connection."""
        return self._link.failure

    @property
    def is_full(self) -> bool:
        """Whether so many requests wait already that no more should come."""
        return len(self.inbox) + len(self.traffic.waiting) >= MOST_WAITING

    def begin(self, request: Request) -> bool:
        """Have a request sent; return False when the thread is over."""
        request.future.on_cancel = partial(self.inbox.put, self.traffic.withdraw, request)
        return self.inbox.put(self.traffic.begin, request)

    def room(self) -> Pending:
        """Return a future that is done as soon as it is not full; it may be cancelled."""
        room = Pending()
        room.on_cancel = partial(self.inbox.put, self._forget_room, room)
        if not self.inbox.put(self._want_room, room):
            room.set_result(None)
        return room

    def stop(self) -> "Future[None]":
        """End in good order; return `stopped`, which tells when that is done."""
        self.is_ending = True
        self.inbox.put(self._link.close)
        return self.stopped

    def limit_start(self, limit: StartLimit) -> None:
        """Have those who wait for the start told when its time is over."""
        self.inbox.put(self._link.limit_start, limit)

    def forked(self) -> None:
        """Let go of everything without a word: this is the child of the process that had it."""
        self.inbox.close()
        self.inbox.forget()
        if self.traffic.session is not None:
            self.traffic.session.forget()
        self._selector.close()

    # What the thread does.

    def run(self) -> None:
        """Work until the client is stopped."""
        enter_io_thread()
        self._selector.register(self.inbox.fileno(), selectors.EVENT_READ)
        try:
            self._link.open(self.inbox.put)
            while not self._link.is_over:
                self._turn()
        except BaseException:  # a bug: whoever waits must hear of it
            logger.critical("the client's thread failed", exc_info=True)
            raise
        finally:
            self._finish()

    def _turn(self) -> None:
        if self._sleep():
            self._link.read()
        for function, argument in self.inbox.take():
            self._do(function, argument)
        for function, argument in self._timers.due(monotonic()):
            self._do(function, argument)
        self._link.send()
        self._watch()
        if self._rooms:
            places = MOST_WAITING - len(self.inbox) - len(self.traffic.waiting)
            if places * ROOM >= MOST_WAITING:
                self._give_room(places)

    def _sleep(self) -> bool:
        """Wait until there is something to do; return whether there is something to read."""
        timeout: float | None = 0
        if self.inbox.may_sleep():
            at = self._timers.next()
            timeout = None if at is None else min(max(0.0, at - monotonic()), LONGEST_SLEEP)
        is_readable = False
        for key, events in self._selector.select(timeout):
            if key.data is None:
                self.inbox.clear_wakes()
            elif events & selectors.EVENT_READ:
                is_readable = True
        self.inbox.woken()
        return is_readable

    def _do(self, function: Callable[[Any], object], argument: Any) -> None:
        try:
            function(argument)
        except Exception as exc:  # the thread must go on, for all others
            logger.error("%r failed", function, exc_info=True)
            if isinstance(argument, Request):
                argument.fail(exc)

    def _watch(self) -> None:
        """Have the selector look at the connection of the moment, for what matters now."""
        session = self.traffic.session
        watched: tuple[Any, int] | None = None
        if session is not None and session.is_open:
            writing = selectors.EVENT_WRITE if session.is_full else 0
            watched = (session.driver.transport.sock, selectors.EVENT_READ | writing)
        if watched == self._watched:
            return
        if self._watched is not None:
            with suppress(KeyError, ValueError, OSError):  # it is closed
                self._selector.unregister(self._watched[0])
        if watched is not None:
            self._selector.register(*watched, session)
        self._watched = watched

    def _want_room(self, room: Pending) -> None:
        self._rooms[room] = None

    def _forget_room(self, room: Pending) -> None:
        self._rooms.pop(room, None)

    def _give_room(self, places: int) -> None:
        """Wake as many as there are places: with all of them, most would come in vain."""
        for room in list(islice(self._rooms, max(0, places))):
            del self._rooms[room]
            if room.set_running_or_notify_cancel():
                room.set_result(None)

    def _finish(self) -> None:
        """Fail whatever is left, and let go of everything."""
        self._link.is_over = self.is_ending = True
        self.inbox.close()
        failure = self.failure or ClientNotRunning(STOPPED)
        self._link.lose(failure)
        self.traffic.end(failure)
        for _function, argument in self.inbox.take():
            if isinstance(argument, Request):
                self.traffic.begin(argument)
            elif isinstance(argument, Session):
                argument.discard()
            elif isinstance(argument, Pending) and not argument.done():
                self._rooms[argument] = None
        self._give_room(len(self._rooms))
        self._selector.close()
        self.inbox.forget()
        if not self.started.done():
            self.started.set_exception(failure)
        self.stopped.set_result(None)
