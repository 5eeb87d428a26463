"""Green sockets for py-amqp: writes are collected, and sent once per hub round."""

import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from amqp.transport import TCPTransport as AmqpSocket

from rpcnode.amqp.tls import TlsSession
from rpcnode.concurrency import Event, GreenThread, ReadWait, call_soon, kill, socket, spawn

logger = logging.getLogger(__name__)

READ_SIZE = 65_536  # bytes taken at once: some hundred deliveries, then others have their turn
LARGE_READ = 262_144  # bytes taken at once in the middle of a large message
HIGH_WATER = 1_048_576  # bytes waiting to be sent above which publishers wait


class TcpSocket(AmqpSocket):  # type: ignore[misc]  # py-amqp is untyped
    """A plain connection; it never blocks other threads."""

    sock: Any
    connected: bool
    _read_buffer: bytes
    _sender: GreenThread | None = None
    _room: Event[None] | None = None
    _readable: ReadWait | None = None

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = socket.create_connection((host, port), timeout)

    def start_batching(self) -> bytes:
        """From now on collect what is written; return what was read ahead."""
        self._outgoing: list[bytes] = []
        self._batch: list[bytes] = []  # what was taken out of it, until it is sent
        self._batch_sent = 0
        self._held_back: list[bytes] = []
        self.outgoing_size = 0
        self._is_scheduled = False
        self.sock.settimeout(None)
        self._readable = ReadWait(self.sock.fileno())
        self._write = self._append
        read_ahead, self._read_buffer = self._read_buffer, b""
        return read_ahead

    def _append(self, data: Any) -> None:
        chunk = bytes(data)  # py-amqp lends a view of its buffer
        self._outgoing.append(chunk)
        self.outgoing_size += len(chunk)
        if not self._is_scheduled:
            self._is_scheduled = True
            call_soon(self.flush)

    def flush(self) -> None:
        """Send what was collected, as far as the socket takes it now."""
        self._is_scheduled = False
        if self._sender is not None or not self._outgoing or self.sock is None:
            return
        try:
            data = self._take_outgoing()
            sent = self._send_now(data)
        except OSError as exc:
            logger.debug("sending: %s", exc)
            self.abort()  # the reader notices, and cleans up
            return
        self._count_sent(sent)
        if sent < len(data):
            self._sender = spawn(self._send_rest, memoryview(data)[sent:])
        else:
            self._batch = []

    def _take_outgoing(self) -> bytes:
        batch = self._batch = self._outgoing
        self._outgoing, self._batch_sent = [], 0
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _send_now(self, data: bytes) -> int:
        """Send what the socket takes without waiting; return how much that was."""
        try:
            sent: int = self.sock.fd.send(data)
        except BlockingIOError:
            return 0
        return sent

    def _send_rest(self, data: memoryview) -> None:
        """Send, however long the broker takes, until nothing is left."""
        try:
            while data and self.sock is not None:
                sent = self.sock.send(data)
                self._count_sent(sent)
                data = data[sent:] or memoryview(self._take_outgoing())
        except OSError as exc:
            logger.debug("sending: %s", exc)
            self.abort()
        finally:
            self._sender = None

    def hold_back(self) -> None:
        """Send nothing of what was collected: the broker does not take it any more."""
        self._held_back += self._outgoing
        self._outgoing = []

    def unsent(self) -> list[bytes]:
        """Return what was written, piece by piece, and never sent to its end."""
        unsent, end = [], 0
        for piece in self._batch:
            end += len(piece)
            # Encrypted, it was more: that errs on the safe side.
            if end > self._batch_sent:
                unsent.append(piece)
        return unsent + self._held_back + self._outgoing

    def _count_sent(self, size: int) -> None:
        self._batch_sent += size
        self.outgoing_size -= size
        if self._room is not None and self.outgoing_size <= HIGH_WATER:
            self._room.set()
            self._room = None

    def wait_for_room(self, timeout: float | None) -> bool:
        """Wait until less than the high-water mark is to be sent; return whether it is so.

        A socket that is closed has room: whoever writes then gets an error.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while self.outgoing_size > HIGH_WATER and self.sock is not None:
            if self._room is None:
                self._room = Event()
            if not self._room.wait(None if deadline is None else deadline - monotonic()):
                return False
        return True

    def close(self) -> None:
        """Close the socket; whoever waits for it is woken."""
        if self._sender is not None:
            # Closing alone would never wake it; and the reader must not switch here.
            call_soon(kill, self._sender)
        if self._readable is not None:
            self._readable.close()
        super().close()
        if self._room is not None:
            self._room.set()
            self._room = None

    def abort(self) -> None:
        """Shut the socket down: the reader wakes, fails and cleans up."""
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError as exc:
                logger.debug("shutting a socket down: %s", exc)

    def receive(self, size: int = READ_SIZE) -> bytes:
        """Wait for data and return it; b"" when the broker has closed the connection.

        Others run before this returns, however much there is to read.
        """
        while self.sock is not None and self._readable is not None:
            self._readable.wait()
            if self.sock is None:
                break  # somebody closed it meanwhile
            with suppress(BlockingIOError):  # a false alarm
                data: bytes = self.sock.fd.recv(size)
                return data
        return b""


class TlsSocket(TcpSocket):
    """An encrypted connection: the same socket, with TLS between it and py-amqp.

    TLS works on bytes in memory, so that it is no matter who waits to read or to write.
    """

    def __init__(self, host: str, make_session: Callable[[], TlsSession], **options: Any) -> None:
        super().__init__(host, **options)
        self._make_session = make_session

    def _setup_transport(self) -> None:
        super()._setup_transport()
        self._tls = self._make_session()
        self.sock.settimeout(self.connect_timeout)
        try:
            self._shake_hands()
        except ssl.SSLError:
            with suppress(OSError):  # the alert is a courtesy
                self.sock.sendall(self._tls.take_outgoing())
            raise
        logger.debug("%s with %s", self._tls.version, self.host)
        # For the handshake of AMQP, which py-amqp does; later, writes are batched.
        self._write = self._send_encrypted
        self._quick_recv = self._receive_some

    def _shake_hands(self) -> None:
        received = b""
        while not self._tls.shake_hands(received):
            self.sock.sendall(self._tls.take_outgoing())
            received = self.sock.recv(READ_SIZE)
            if not received:
                raise ConnectionError("the broker closed the connection in the handshake of TLS")
        self.sock.sendall(self._tls.take_outgoing())

    def _send_encrypted(self, data: Any) -> None:
        try:
            self.sock.sendall(self._tls.encrypt(bytes(data)))
        except OSError:
            # TLS 1.3 lets us speak before the broker has looked at our certificate. When it has
            # closed the connection over that, its alert has come, and says why.
            self._tls.decrypt(self.sock.recv(READ_SIZE))
            raise

    def _receive_some(self, _size: int) -> bytes:
        """Return what comes next, whatever its size: py-amqp keeps what it did not ask for."""
        while received := self.sock.recv(READ_SIZE):
            if data := self._tls.decrypt(received):
                return data
        return b""

    def _take_outgoing(self) -> bytes:
        data = super()._take_outgoing()
        encrypted = self._tls.take_outgoing() + self._tls.encrypt(data)
        self.outgoing_size += len(encrypted) - len(data)
        return encrypted

    def receive(self, size: int = READ_SIZE) -> bytes:
        """Wait for data and return it; b"" when the broker has closed the connection."""
        while received := super().receive(size):
            data = self._tls.decrypt(received)
            if data or self._tls.is_over:
                return data
        return b""

    def _shutdown_transport(self) -> None:
        # Half of a record may be on its way: then nothing can follow it.
        if self._sender is None and self.connected:
            self._send_now(self._tls.say_goodbye())
