"""All connections of a server, and what they have in common."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from rpcnode.concurrency import Event
from rpcnode.httpd.answers import Fields, encode_head
from rpcnode.httpd.application import Application, problem
from rpcnode.httpd.errors import CLIENT_GONE, Refusal
from rpcnode.httpd.settings import ServerSettings

if TYPE_CHECKING:
    from rpcnode.httpd.connection import Connection
    from rpcnode.httpd.exchange import Exchange

logger = logging.getLogger(__name__)


class Group:
    """The open connections, the application that answers them, the limits that they keep."""

    def __init__(self, application: Application, limits: ServerSettings) -> None:
        self.application = application
        self.limits = limits
        self.connections: set[Connection] = set()
        self.requests_running = 0
        self.is_stopping = False
        self.on_removed: Callable[[], object] | None = None
        self._emptied: Event[None] | None = None

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        if self._emptied is not None and not self.connections:
            self._emptied.set()
        if self.on_removed is not None:
            self.on_removed()

    def wait_until_empty(self, timeout: float | None) -> bool:
        """Wait until no connection is open; return whether it is so."""
        if not self.connections:
            return True
        self._emptied = Event()
        return self._emptied.wait(timeout)

    def finished(self, exchange: "Exchange") -> None:
        """Count a request as answered, and tell the application."""
        self.requests_running -= 1
        on_done = self.application.on_done
        if on_done is None:
            return
        has_left = exchange.is_gone and not exchange.is_cut
        status = CLIENT_GONE if has_left else exchange.status
        try:
            on_done(exchange, status, exchange.bytes_sent, monotonic() - exchange.started)
        except Exception:  # a log line must not keep a connection from going on
            logger.error("on_done failed for %s %s", exchange.method, exchange.path, exc_info=True)

    def answer_to(self, refusal: Refusal) -> bytes:
        """Return the answer to a request that never reached the application."""
        try:
            status, headers, body = self.application.on_error(refusal)
            fields = Fields(headers)
        except Exception:  # whatever the application makes of it, the client gets an answer
            logger.error("the answer to a malformed request failed", exc_info=True)
            status, headers, body = problem(refusal)
            fields = Fields(headers)
        framing = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        return encode_head(status, framing, fields) + body

    def sweep(self) -> None:
        """End whatever takes too long; called now and then."""
        now = monotonic()
        oldest = now - self.limits.write_timeout
        for connection in tuple(self.connections):
            link = connection.link
            if connection.deadline <= now:
                connection.expire()
            elif link.stalled_since <= oldest:
                logger.info("a client at %s takes nothing any more", link.remote[0])
                link.abort()
            elif connection.is_unwatched() and link.is_broken():
                link.abort()
