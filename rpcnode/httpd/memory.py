"""A connection without a socket: bytes in, bytes out, through the same code."""

from time import monotonic
from typing import Any

from rpcnode.concurrency import Event, call_soon
from rpcnode.httpd.application import Application
from rpcnode.httpd.connection import Connection
from rpcnode.httpd.group import Group
from rpcnode.httpd.link import NEVER
from rpcnode.httpd.settings import ServerSettings

CAPACITY = 1_048_576  # bytes that wait for the client to take them before writers wait, too


class MemoryLink:
    """What a client sends, and what it gets, in buffers."""

    remote = ("127.0.0.1", 0)
    local = ("127.0.0.1", 80)
    can_send_files = False
    stalled_since = NEVER
    peer_certificate: dict[str, Any] | None = None

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.unsent = 0
        self.is_reading = True
        self.is_closed = False
        self._connection: Connection | None = None
        self._arrived: list[bytes | None] = []  # and not read yet; None is the end
        self._sent = bytearray()
        self._changed: Event[None] | None = None

    def start(self, connection: Connection) -> None:
        """Begin to read for a connection."""
        self._connection = connection

    def arrive(self, data: bytes | None) -> None:
        """Take what the client sends, None when it sends no more."""
        self._arrived.append(data)
        self._read()

    def _read(self) -> None:
        assert self._connection is not None
        while self._arrived and self.is_reading and not self.is_closed:
            data = self._arrived.pop(0)
            if data is None:
                self.is_reading = False
                self._connection.ended()
            else:
                self._connection.received(data)

    def read_on(self, *, is_on: bool) -> None:
        """Go on reading, or stop."""
        if is_on and not self.is_reading and self._arrived:
            call_soon(self._read)
        self.is_reading = is_on

    def send(self, data: bytes) -> None:
        """Give bytes to the client."""
        if self.is_closed:
            return
        self._sent += data
        self.unsent = max(0, len(self._sent) - CAPACITY)
        self._tell()

    def send_file(self, number: int, offset: int, size: int) -> int | None:
        """Raise NotImplementedError: `can_send_files` says so."""
        raise NotImplementedError("there is no socket to send files to: ask `can_send_files`")

    def take(self) -> bytes:
        """Return what the client got since the last call."""
        data = bytes(self._sent)
        self._sent.clear()
        if self.unsent:
            self.unsent = 0
            assert self._connection is not None
            self._connection.drained()
        return data

    def wait(self, timeout: float) -> bool:
        """Wait until there is something to take, or it is closed; return whether it is so."""
        end = monotonic() + timeout
        while not self._sent and not self.is_closed:
            self._changed = Event()
            if not self._changed.wait(end - monotonic()):
                return False
        return True

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()

    def end(self) -> None:
        """Tell the client that nothing follows: it then sends no more, either."""
        call_soon(self.arrive, None)

    def close(self) -> None:
        """Close in good order; nothing is told any more."""
        self.is_closed = True
        self.is_reading = False
        self.unsent = 0
        self._tell()

    def abort(self) -> None:
        """Cut it."""
        if not self.is_closed:
            self.close()
            assert self._connection is not None
            self._connection.lost()

    def is_broken(self) -> bool:
        """Return False: whoever cuts it tells so."""
        return False


class MemoryConnection:
    """A client's side of a connection, in the same process."""

    def __init__(
        self,
        application: Application,
        settings: ServerSettings | None = None,
        *,
        scheme: str = "http",
    ) -> None:
        self.group = Group(application, settings or ServerSettings())
        self._link = MemoryLink(scheme)
        connection = Connection(self.group, self._link)
        self.group.connections.add(connection)
        self._link.start(connection)

    def feed(self, data: bytes) -> None:
        """Send bytes as a client; a request that is complete reaches the application at once."""
        if data:
            self._link.arrive(data)

    def feed_eof(self) -> None:
        """Send no more; answers still come."""
        self._link.arrive(None)

    def take(self) -> bytes:
        """Return what was sent to the client since the last call."""
        return self._link.take()

    def wait(self, timeout: float = 5) -> bytes:
        """Wait until there is something to take, or the connection is closed; return it.

        Raises TimeoutError.
        """
        if not self._link.wait(timeout):
            raise TimeoutError(f"nothing was sent within {timeout} seconds")
        return self._link.take()

    def vanish(self) -> None:
        """Let the client be gone, without a goodbye."""
        self._link.abort()

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed the connection."""
        return self._link.is_closed
