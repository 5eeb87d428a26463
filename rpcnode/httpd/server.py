"""A listening socket and its connections."""

import errno
import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from rpcnode.concurrency import (
    TimerHandle,
    call_later,
    native_socket,
    note_new_file,
    unwatch,
    watch_readable,
)
from rpcnode.httpd.address import BindAddress
from rpcnode.httpd.application import Application
from rpcnode.httpd.connection import Connection
from rpcnode.httpd.group import Group
from rpcnode.httpd.listening import listen
from rpcnode.httpd.settings import ServerSettings
from rpcnode.httpd.sockets import SocketLink
from rpcnode.httpd.tls import TlsLink

logger = logging.getLogger(__name__)

AT_ONCE = 64  # connections taken before others have their turn
SHORTAGE_PAUSE = 0.5  # seconds
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Listens at one address and lets an application answer."""

    def __init__(
        self, address: BindAddress, application: Application, settings: ServerSettings
    ) -> None:
        self.address = address
        self.settings = settings
        self._group = Group(application, settings)
        self._listener: Any = None
        self._watch: Any = None
        self._sweep: TimerHandle | None = None
        self._is_short = False  # whether the system has nothing left for another connection

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._group.connections)

    @property
    def requests_running(self) -> int:
        """How many requests have not been answered yet."""
        return self._group.requests_running

    def start(self) -> None:
        """Listen; `address` then has the port in use. Raises AddressInUse."""
        settings = self.settings
        self._listener = listen(self.address, settings.backlog, reuse_port=settings.reuse_port)
        note_new_file(self._listener.fileno())
        self.address = BindAddress(self.address.address, self._listener.getsockname()[1])
        self._group.on_removed = self._take_more
        self._take_more()
        self._sweep_soon()
        logger.debug("listening at %s", self.address)

    # New connections:

    def _take_more(self) -> None:
        """Accept connections as long as there may be more."""
        has_room = self.connections < self.settings.max_connections and not self._is_short
        is_wanted = has_room and self._listener is not None
        if is_wanted and self._watch is None:
            self._watch = watch_readable(self._listener.fileno(), self._on_connecting)
        elif not is_wanted and self._watch is not None:
            unwatch(self._watch)
            self._watch = None

    def _on_connecting(self, _number: int) -> None:
        if self._watch is not None:
            room = self.settings.max_connections - self.connections
            for _ in range(min(AT_ONCE, room)):
                if not self._accept():
                    break
            self._take_more()

    def _accept(self) -> bool:
        """Take one connection; return whether there may be another one to take."""
        try:
            sock, remote = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            if exc.errno not in _SHORTAGES:
                return True  # the client has left before its turn
            logger.error("no connection can be accepted: %s", exc.strerror)
            self._pause()
            return False
        try:
            self._open(sock, remote)
        except Exception:  # else the hub would listen no more
            logger.error("a connection from %s failed at once", remote[0], exc_info=True)
            sock.close()
        return True

    def _pause(self) -> None:
        """Leave those who wait alone for a while, instead of asking again and again."""
        self._is_short = True
        call_later(SHORTAGE_PAUSE, self._end_pause)

    def _end_pause(self) -> None:
        self._is_short = False
        self._take_more()

    def _open(self, sock: Any, remote: Any) -> None:
        note_new_file(sock.fileno())
        try:
            sock.setblocking(False)
            sock.setsockopt(native_socket.IPPROTO_TCP, native_socket.TCP_NODELAY, 1)
            local = sock.getsockname()
        except OSError:  # the client has left
            sock.close()
            return
        link = self._link_over(sock, remote[:2], local[:2])
        connection = Connection(self._group, link)
        if self.settings.tls is not None:
            connection.expect_handshake()
        link.start(connection)
        self._group.connections.add(connection)

    def _link_over(self, sock: Any, remote: tuple[str, int], local: tuple[str, int]) -> SocketLink:
        if self.settings.tls is None:
            return SocketLink(sock, remote, local)
        link = TlsLink(sock, remote, local)
        link.secure(self.settings.tls)
        return link

    # What takes too long:

    def _sweep_soon(self) -> None:
        wait = self.settings.stop_grace if self._group.is_stopping else self.settings.shortest_wait
        self._sweep = call_later(wait / 4, self._sweep_now)

    def _sweep_now(self) -> None:
        try:
            self._group.sweep()
        finally:
            self._sweep_soon()

    # The end:

    def close_listener(self) -> None:
        """Take no new connections, once those that the system has accepted are here."""
        if self._listener is None:
            return
        if self._watch is not None:
            unwatch(self._watch)
            self._watch = None
        # Closed with connections in its queue, it would reset them.
        with suppress(OSError):
            while self._accept():
                pass
        self._listener.close()
        self._listener = None

    def stop(self, timeout: float | None = None) -> bool:
        """Close the listener, let what was accepted finish, then cut what is left.

        Waits at most `timeout` seconds; returns whether no request had to be cut.
        """
        end = None if timeout is None else monotonic() + timeout
        self.close_listener()
        self._group.is_stopping = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep_soon()
        for connection in tuple(self._group.connections):
            connection.wind_down()
        is_empty = self._group.wait_until_empty(None if end is None else end - monotonic())
        return self._cut() or is_empty

    def _cut(self) -> bool:
        running = self.requests_running
        for connection in tuple(self._group.connections):
            connection.cut()
        if self._sweep is not None:
            self._sweep.cancel()
        if running:
            logger.warning("%d requests at %s were cut", running, self.address)
        return not running
