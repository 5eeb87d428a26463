"""One connection: whose turn it is, and for how long."""

import logging
from time import monotonic

from rpcnode.concurrency import Event, call_soon
from rpcnode.httpd.answers import CONTINUE
from rpcnode.httpd.application import problem
from rpcnode.httpd.body import Body
from rpcnode.httpd.errors import BodyTimeout, ClientGone, Refusal
from rpcnode.httpd.exchange import Exchange
from rpcnode.httpd.group import Group
from rpcnode.httpd.heads import Head
from rpcnode.httpd.link import NEVER, Link
from rpcnode.httpd.parsing import RequestParser
from rpcnode.httpd.phases import BUSY, CLOSED, DROPPING, HEAD, IDLE, LINGERING, Phase

logger = logging.getLogger(__name__)

ROOM = 65_536  # bytes that may wait to be sent before a writer waits
HEADS_AT_ONCE = 8_192  # bytes: requests that wait for their turn take 40 times as many
BODY_AT_ONCE = 65_536


class Connection:
    """Turns what a link receives into exchanges, one after the other, and sends their answers.

    `deadline` is when something must have happened, in monotonic seconds.
    """

    __slots__ = (
        *("_body", "_exchange", "_is_advancing", "_is_ended", "_is_flushing", "_parser", "_phase"),
        *("_queue", "_room", "_waiter", "deadline", "group", "link"),
    )

    def __init__(self, group: Group, link: Link) -> None:
        self.group = group
        self.link = link
        self.deadline = monotonic() + group.limits.keep_alive
        self._parser = RequestParser(self, group.limits)
        self._phase: Phase = IDLE
        self._exchange: Exchange | None = None  # whose turn it is
        self._queue: list[Exchange | Refusal] = []  # whose turn it is later
        self._body: Body | None = None  # what was last seen to arrive
        self._is_advancing = False
        self._is_ended = False  # whether the client sends no more
        self._is_flushing = False  # whether the end of an answer waits to be sent
        self._waiter: Event[None] | None = None  # who reads the body
        self._room: Event[None] | None = None  # who writes the answer

    def expect_handshake(self) -> None:
        """Let the client prove soon that it is one; called first of all, where there is TLS."""
        self._phase = HEAD
        self.deadline = monotonic() + self.group.limits.header_timeout

    def shook_hands(self) -> None:
        """Wait for a request; called after the handshake."""
        if self._phase is HEAD:
            self._rest()

    # What the link asks and tells:

    @property
    def read_size(self) -> int:
        """How many bytes to take from the client at once."""
        body = self._body
        return HEADS_AT_ONCE if body is None or body.is_complete else BODY_AT_ONCE

    def received(self, data: bytes) -> None:
        """Take what the client has sent."""
        if self._phase is LINGERING:
            return
        try:
            self._parser.feed(data)
        except Refusal as refusal:
            self._take_refusal(refusal)
        if self._exchange is None:
            self._advance()
        if self._queue or self._body is not None:
            self._read_on()

    def ended(self) -> None:
        """Take note that the client sends no more; what it has asked for is still answered."""
        self._is_ended = True
        if self._body is not None:
            self._body.fail(Refusal("the body ends before it is complete"))
        if self._exchange is None:
            if not self._queue:
                self.close()
        elif self._exchange.is_endless:
            # Who is in the middle of a feed, and says that it is done, does not mean to go on.
            self.link.abort()

    def drained(self) -> None:
        """Go on, as all is sent."""
        if self._room is not None:
            self._room.set()
        if self._is_flushing:
            self._is_flushing = False
            self._conclude()
        elif self._phase is LINGERING:
            self._say_goodbye()

    def lost(self) -> None:
        """Clean up after a link that is broken."""
        self._phase = CLOSED
        self.deadline = NEVER
        self._queue.clear()
        exchange = self._exchange
        if exchange is None:
            self._forget()
            return
        exchange.is_gone = True
        if exchange.body is not None:
            exchange.body.fail(ClientGone("the client is gone"))
        if self._room is not None:
            self._room.set()
        if self._is_flushing:
            self._is_flushing = False
            self._conclude()
        elif not exchange.is_finished:
            call_soon(exchange.tell_gone)

    # What the parser tells:

    def on_head(self, head: Head) -> Body | None:
        """Take a request; its turn comes when those before it are answered."""
        exchange = Exchange(self, head)
        self._queue.append(exchange)
        if not head.has_body:
            return None
        exchange.body = self._body = Body(self, head.content_length, self.group.limits.max_body)
        return self._body

    def _take_refusal(self, refusal: Refusal) -> None:
        body = self._body
        if body is None or body.is_complete:
            self._queue.append(refusal)
            return
        body.fail(refusal)
        if self._phase is DROPPING:
            self.close()
        elif self._queue:
            self._queue[-1] = refusal  # the application need not know of it

    # Whose turn it is:

    def _advance(self) -> None:
        """Give the next request to the application, if none is being answered."""
        if self._is_advancing:
            return  # a request was answered at once: the loop goes on
        self._is_advancing = True
        try:
            while self._queue and self._exchange is None:
                self._start(self._queue.pop(0))
        finally:
            self._is_advancing = False
        if self._exchange is None and self._phase in (IDLE, HEAD):
            self._rest()
        if self._queue or not self.link.is_reading:
            self._read_on()

    def _start(self, item: Exchange | Refusal) -> None:
        self.deadline = NEVER
        if isinstance(item, Refusal):
            self._refuse(item)
            return
        self._phase = BUSY
        self._exchange = item
        self.group.requests_running += 1
        try:
            self.group.application.on_request(item)
        except Exception:  # one request's error must not be another's
            logger.error("%s %s failed in the hub", item.method, item.path, exc_info=True)
            self._settle(item)

    def _settle(self, exchange: Exchange) -> None:
        if exchange.is_responded:
            exchange.abort()
        else:
            exchange.respond(*problem(Refusal("the request could not be handled", 500)))

    def _rest(self) -> None:
        """Wait for the next request, or for the rest of its head."""
        limits = self.group.limits
        if self._parser.head_size:
            if self._phase is IDLE:
                self._phase = HEAD
                self.deadline = monotonic() + limits.header_timeout
            return
        self._phase = IDLE
        wait = limits.stop_grace if self.group.is_stopping else limits.keep_alive
        self.deadline = monotonic() + wait

    def _read_on(self) -> None:
        """Read as long as there is room, or nothing is kept any more."""
        is_full = self._body is not None and self._body.is_full and self._phase is BUSY
        is_over = self._is_ended or self._phase is CLOSED
        self.link.read_on(is_on=not (is_full or is_over or self._queue))

    def _conclude(self) -> None:
        """Go on after an answer."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self.group.finished(exchange)
        body = exchange.body
        if self._body is body:
            self._body = None
        if self._phase is CLOSED:
            self._forget()
        elif exchange.closes:
            self._part(exchange)
        elif body is None or body.is_complete:
            self._phase = IDLE
            self._go_on()
        elif body.is_worth_dropping:
            self._drop(body)
        else:
            self._linger()

    def _forget(self) -> None:
        self._parser.release()
        self.group.remove(self)

    def _go_on(self) -> None:
        if not self._queue:
            if self._is_ended:
                self.close()
                return
            self._rest()
        elif not self._is_advancing:
            # From the hub: the next request must not inherit this green thread's context.
            call_soon(self._advance)
        if not self.link.is_reading:
            self._read_on()

    # How it ends:

    def _drop(self, body: Body) -> None:
        """Read the rest of a request that was answered before it was complete."""
        self._body = body
        self._phase = DROPPING
        self.deadline = monotonic() + self.group.limits.body_timeout
        body.drop()
        self._read_on()

    def _part(self, exchange: Exchange) -> None:
        """Close after an answer; a client that may be sending must get to read it first."""
        is_done = exchange.body is None or exchange.body.is_complete
        if exchange.body is not None:
            exchange.body.drop()
        if self._is_ended or (is_done and not exchange.keeps_alive):
            self.close()
        else:
            self._linger()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer a request that never reached the application, as the last one."""
        refusal.remote_addr = self.link.remote[0]
        self._queue.clear()
        self.link.send(self.group.answer_to(refusal))
        if self._phase is not CLOSED:
            self._linger()

    def _linger(self) -> None:
        """Say that nothing follows, and drop what still comes, for a while.

        Closed at once, with bytes on their way to it, the socket would be reset, and the client
        might lose the answer (RFC 9112 section 9.6).
        """
        self._phase = LINGERING
        self.deadline = NEVER
        if not self.link.unsent:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if self._is_ended:
            self.close()
            return
        limits = self.group.limits
        wait = limits.stop_grace if self.group.is_stopping else limits.linger
        self.deadline = monotonic() + wait
        self.link.end()
        self.link.read_on(is_on=True)

    def close(self) -> None:
        """Close in good order; nothing is being answered."""
        self._phase = CLOSED
        self.deadline = NEVER
        self._queue.clear()
        self.link.close()
        self._forget()

    def expire(self) -> None:
        """End what takes too long; called after `deadline`."""
        self.deadline = NEVER
        if self._phase is HEAD:
            self._refuse(Refusal("the request did not arrive in time", 408))
        elif self._phase is not BUSY:
            self.close()
        elif self._body is not None:
            self._body.fail(BodyTimeout("the body did not arrive in time"))

    def wind_down(self) -> None:
        """Close soon, if no request comes; called when the server begins to stop."""
        grace = monotonic() + self.group.limits.stop_grace
        if self._phase in (IDLE, LINGERING) and grace < self.deadline:
            self.deadline = grace

    def is_unwatched(self) -> bool:
        """Return whether a request is being answered, and a broken link would not be seen."""
        return self._phase is BUSY and not self.link.is_reading

    # What exchanges and bodies ask for:

    def must_close_after(self, exchange: Exchange) -> bool:
        """Return whether an answer given now is the last one of the connection."""
        if not exchange.keeps_alive:
            return True
        if (self._is_ended or self.group.is_stopping) and not self._queue:
            return True
        body = exchange.body
        if body is None or body.is_complete:
            return False
        # Who waits for `100 Continue` may send the body now, or may not.
        return exchange.expects_continue or not body.is_worth_dropping

    def send_part(self, data: bytes) -> None:
        """Send a part of an answer; never blocks."""
        self.link.send(data)

    def send_answer(self, data: bytes) -> None:
        """Send an answer, or its end, and go on when the client has taken it; never blocks."""
        link = self.link
        if data:
            link.send(data)
        if link.unsent:
            self._is_flushing = True
        else:
            self._conclude()

    def send_continue(self, exchange: Exchange) -> None:
        """Tell a client that waits for it that the body is wanted."""
        exchange.expects_continue = False
        self.link.send(CONTINUE)

    def abort(self) -> None:
        """Cut the connection in the middle of an answer."""
        if self._phase is not CLOSED:
            self.link.abort()
        self._conclude()

    def cut(self) -> None:
        """End at once; who waits for an answer that has not begun is told that none will come."""
        self._queue.clear()
        exchange = self._exchange
        if exchange is not None and not exchange.is_responded and self._phase is BUSY:
            status, headers, body = problem(Refusal("the server is stopping", 503))
            exchange.respond(status, [*headers, ("Retry-After", "1")], body)
        if self._phase is LINGERING:
            self.close()  # not cut: the last answer must arrive
        else:
            self.link.abort()

    def wait_for_room(self, most: int = ROOM) -> None:
        """Wait until at most so many bytes are to be sent, or the client is gone."""
        while self.link.unsent > most and self._phase is not CLOSED:
            self._room = Event()
            try:
                self._room.wait()
            finally:
                self._room = None

    def wait_for_body(self) -> None:
        """Wait until more of the body is there, its end, or an error."""
        exchange = self._exchange
        assert exchange is not None  # who else could read
        assert exchange.body is not None
        if exchange.expects_continue:
            self.send_continue(exchange)
        limits = self.group.limits
        began = monotonic()
        self.deadline = began + exchange.body.patience(limits.body_timeout, limits.body_rate)
        self._waiter = Event()
        try:
            self._waiter.wait()
        finally:
            exchange.body.count_wait(monotonic() - began)
            self._waiter = None
            if self._phase is BUSY:
                self.deadline = NEVER

    def on_body(self) -> None:
        """Wake who reads the body."""
        if self._waiter is not None:
            self._waiter.set()
        elif self._phase is DROPPING and self._body is not None and self._body.is_complete:
            self._body = None
            self._phase = IDLE

    def on_body_taken(self) -> None:
        """Read on, if that was stopped."""
        if not self.link.is_reading:
            self._read_on()
