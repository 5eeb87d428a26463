"""Green sockets for py-amqp: writes are collected, and sent once per hub round."""

import logging
from contextlib import suppress
from time import monotonic
from typing import Any

from rpcnode.amqp.batches import HIGH_WATER, READ_SIZE, BatchedSocket
from rpcnode.amqp.encrypting import EncryptedSocket
from rpcnode.concurrency import Event, GreenThread, ReadWait, call_soon, kill, socket, spawn

logger = logging.getLogger(__name__)


class TcpSocket(BatchedSocket):
    """A plain connection; it never blocks other threads."""

    _sender: GreenThread | None = None
    _room: Event[None] | None = None
    _readable: ReadWait | None = None

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = socket.create_connection((host, port), timeout)

    def start_batching(self) -> bytes:
        """From now on collect what is written; return what was read ahead."""
        self._is_scheduled = False
        self.sock.settimeout(None)
        self._readable = ReadWait(self.sock.fileno())
        return super().start_batching()

    def _append(self, data: Any) -> None:
        super()._append(data)
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

    def _count_sent(self, size: int) -> None:
        super()._count_sent(size)
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


class TlsSocket(EncryptedSocket, TcpSocket):
    """An encrypted connection; it never blocks other threads."""

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
