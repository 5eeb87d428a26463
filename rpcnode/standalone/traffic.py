"""The requests of a client, from the moment they are given to the I/O thread to their outcome."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

from amqp.exceptions import ResourceError

from rpcnode.amqp.message import Delivery
from rpcnode.amqp.replies import ReplyTable, unguessable_ids
from rpcnode.exceptions import (
    BrokerUnavailable,
    ClientNotRunning,
    ConnectionLost,
    PublishRejected,
    RpcNodeError,
)
from rpcnode.standalone.requests import Call, Request
from rpcnode.standalone.session import CONNECTION_ERRORS, Session
from rpcnode.standalone.timers import Timers

STOPPED = "the client was stopped"
UNKNOWN = "so that the outcome is unknown"


class Traffic:
    """Writes requests on the `session` of the moment, and settles each of them once.

    `waiting` are those that wait for a connection or for room. `reason()` says why there is no
    connection.
    """

    def __init__(self, timers: Timers, reason: Callable[[], str]) -> None:
        self.session: Session | None = None
        self.waiting: deque[Request] = deque()
        self._end: Exception | None = None  # why nothing is taken any more
        self._timers = timers
        self._reason = reason
        self._replies = ReplyTable()
        self._correlation_ids = unguessable_ids()

    def __len__(self) -> int:
        return len(self._replies) + len(self.waiting)

    def begin(self, request: Request) -> None:
        """Take a request; write it if that is possible now."""
        if self._end is not None:
            _refuse(request, self._end)
            return
        if request.future.cancelled():
            self.withdraw(request)
            return
        ends = request.sending.ends
        if ends is not None:
            if ends <= monotonic():
                request.fail(request.time_is_over("its time was over before it could be sent"))
                return
            request.timer = self._timers.add(ends, self._expire, request)
        if self.waiting or not self._write(request):
            self.waiting.append(request)

    def write_waiting(self) -> None:
        """Write those that wait, as far as that is possible now."""
        while self.waiting:
            request = self.waiting.popleft()
            if not request.is_done and not self._write(request):
                self.waiting.appendleft(request)
                return

    def receive(self, delivery: Delivery) -> None:
        """Take a reply."""
        self._replies.settle(delivery.properties.get("correlation_id"), delivery)

    def withdraw(self, request: Request) -> None:
        """Take note that nobody waits any more; a request that waits itself is never sent."""
        self._forget(request)
        if not request.is_done:
            request.withdraw()
            request.future.set_running_or_notify_cancel()  # it was cancelled: others hear of it

    def lose_replies(self) -> None:
        """Fail those that wait for a reply: their queue is gone."""
        self._replies.fail_all(ConnectionLost(f"the reply queue is gone, {UNKNOWN}"))

    def end(self, why: Exception | None = None) -> None:
        """Take nothing any more; what waits fails, and what awaits its confirm goes on."""
        self._end = why or ClientNotRunning(STOPPED)
        self._replies.fail_all(ConnectionLost(f"{STOPPED}, {UNKNOWN}"))
        while self.waiting:
            _refuse(self.waiting.popleft(), self._end)

    def _write(self, request: Request) -> bool:
        """Write a request unless there is neither connection nor room; return whether it left."""
        session = self.session
        if session is None:
            return False
        message = request.message
        try:
            channel = session.channel_for(message.exchange, request.entity)
        except ResourceError as exc:
            request.fail(PublishRejected(f"too many exchanges on one connection: {exc}"))
            return True
        except CONNECTION_ERRORS:  # the connection is gone, which is noticed in this round
            return False
        if channel is None:
            return False
        request.prepare(session.reply_address, next(self._correlation_ids))
        if isinstance(request, Call):
            self._replies.expect(request.correlation_id, request)
        try:
            channel.send(message, partial(self._settled, request))
        except RpcNodeError as exc:  # what cannot be encoded
            self._fail(request, exc)
        else:
            request.is_written = True
        return True

    def _settled(self, request: Request, error: BaseException | None) -> None:
        """Take what the broker says of a request, or what the loss of a connection means."""
        if request.is_done:
            return
        if error is None:
            request.confirmed()
        elif isinstance(error, BrokerUnavailable) or request.is_worth_declaring(error):
            # The broker never had it; or it has no such exchange any more, which is declared
            # again on the next channel.
            self._forget(request)
            request.is_written = False
            self.waiting.append(request)
        elif not (isinstance(request, Call) and isinstance(error, ConnectionLost)):
            self._fail(request, error)

    def _fail(self, request: Request, error: BaseException) -> None:
        self._forget(request)
        request.fail(error)

    def _expire(self, request: Request) -> None:
        if request.is_written and request.budget.ends is None:
            return  # it was only its sending that had a limit
        self._forget(request)
        why = "the broker takes no messages" if self.session is not None else self._reason()
        request.fail(request.time_is_over(f"{why}, so nothing was sent"))

    def _forget(self, request: Request) -> None:
        if isinstance(request, Call):
            self._replies.forget(request.correlation_id)
        if not request.is_written:
            with suppress(ValueError):
                self.waiting.remove(request)


def _refuse(request: Request, why: Exception) -> None:
    # Each has an error of its own: whoever raises it adds a traceback.
    request.fail(type(why)(f"{why}; {request.name} was not sent"))
