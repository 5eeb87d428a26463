"""Links over sockets that the hub watches."""

import logging
import os
import struct
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from rpcnode.concurrency import native_socket, unwatch, watch_readable, watch_writable
from rpcnode.httpd.link import NEVER

if TYPE_CHECKING:
    from rpcnode.httpd.connection import Connection

logger = logging.getLogger(__name__)

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() cut
_TCP_CLOSE = 7  # of the states in Linux's tcp_info: the other side has reset the connection


class SocketLink:
    """A connection over a plain socket."""

    __slots__ = (
        *("_connection", "_is_closed", "_reader", "_sock", "_unsent", "_writer"),
        *("is_reading", "local", "remote", "stalled_since", "unsent"),
    )

    scheme = "http"
    can_send_files = hasattr(os, "sendfile")

    def __init__(self, sock: Any, remote: tuple[str, int], local: tuple[str, int]) -> None:
        self._sock = sock
        self.remote = remote
        self.local = local
        self.unsent = 0
        self.stalled_since = NEVER
        self.is_reading = False
        self._is_closed = False
        self._unsent: deque[memoryview] | None = None
        self._reader: Any = None
        self._writer: Any = None

    def start(self, connection: "Connection") -> None:
        """Begin to read for a connection."""
        self._connection = connection
        self.read_on(is_on=True)

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """None: without TLS there is none."""
        return None

    def read_on(self, *, is_on: bool) -> None:
        """Go on reading, or stop."""
        if is_on is self.is_reading or self._is_closed:
            return
        self.is_reading = is_on
        if is_on:
            self._reader = watch_readable(self._sock.fileno(), self._on_readable)
        else:
            unwatch(self._reader)
            self._reader = None

    def _on_readable(self, _number: int) -> None:
        if not self.is_reading:
            return  # stopped in the same round of the hub
        try:
            data = self._sock.recv(self._connection.read_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lose(exc)
            return
        try:
            if data:
                self._take(data)
            else:
                self.read_on(is_on=False)
                self._connection.ended()
        except Exception:  # one connection's error must not be another's
            logger.error("a connection from %s failed", self.remote[0], exc_info=True)
            self.abort()

    def _take(self, data: bytes) -> None:
        self._connection.received(data)

    def send(self, data: bytes) -> None:
        """Send bytes, as many as the client takes now, and the rest later."""
        if self._is_closed:
            return
        if self.unsent:
            self._keep(memoryview(data))
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as exc:
            self._lose(exc)
            return
        if sent < len(data):
            self._keep(memoryview(data)[sent:])

    def _keep(self, data: memoryview) -> None:
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(data)
        self.unsent += len(data)
        self._wait()

    def _wait(self) -> None:
        if self._writer is None:
            self.stalled_since = monotonic()
            self._writer = watch_writable(self._sock.fileno(), self._on_writable)

    def _on_writable(self, _number: int) -> None:
        if self._is_closed:
            return
        try:
            self._send_rest()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._lose(exc)
            return
        unwatch(self._writer)
        self._writer = self._unsent = None
        self.unsent = 0
        self.stalled_since = NEVER
        self._connection.drained()

    def _send_rest(self) -> None:
        parts = self._unsent
        while parts:
            part = parts.popleft()
            try:
                sent = self._sock.send(part)
            except (BlockingIOError, InterruptedError):
                parts.appendleft(part)
                raise
            self.unsent -= sent
            self.stalled_since = monotonic()
            if sent < len(part):
                parts.appendleft(part[sent:])

    def send_file(self, number: int, offset: int, size: int) -> int | None:
        """Send of an open file what the client takes now; return how many bytes that was."""
        if self._is_closed:
            return None
        try:
            return os.sendfile(self._sock.fileno(), number, offset, size)
        except (BlockingIOError, InterruptedError):
            self.unsent = 1
            self._wait()
        except OSError as exc:
            self._lose(exc)
        return None

    def end(self) -> None:
        """Tell the client that nothing follows; it may still send."""
        with suppress(OSError):  # gone: reading will tell
            self._sock.shutdown(native_socket.SHUT_WR)

    def close(self) -> None:
        """Close in good order; nothing is told any more."""
        if self._is_closed:
            return
        self.read_on(is_on=False)
        self._is_closed = True
        del self._connection  # it has the link, too
        if self._writer is not None:
            unwatch(self._writer)
            self._writer = self._unsent = None
        self.unsent = 0
        self.stalled_since = NEVER
        self._sock.close()

    def abort(self) -> None:
        """Cut it, dropping what was not sent."""
        if self._is_closed:
            return
        with suppress(OSError):
            self._sock.setsockopt(native_socket.SOL_SOCKET, native_socket.SO_LINGER, _RESET)
        connection = self._connection
        self.close()
        connection.lost()

    def _lose(self, reason: OSError) -> None:
        logger.debug("the connection from %s is lost: %s", self.remote[0], reason)
        self.abort()

    def is_broken(self) -> bool:
        """Return whether the client has reset it, for when nothing is read."""
        if self._is_closed or not hasattr(native_socket, "TCP_INFO"):
            return False
        state = self._sock.getsockopt(native_socket.IPPROTO_TCP, native_socket.TCP_INFO, 1)
        return bool(state[0] == _TCP_CLOSE)
