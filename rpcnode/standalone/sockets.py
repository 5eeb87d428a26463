"""Sockets of the I/O thread: py-amqp's while connecting, and then never waiting."""

import logging
import socket
from contextlib import suppress
from typing import Any

from rpcnode.amqp.batches import READ_SIZE, BatchedSocket
from rpcnode.amqp.encrypting import EncryptedSocket

logger = logging.getLogger(__name__)


class ThreadSocket(BatchedSocket):
    """A plain connection."""

    _rest = memoryview(b"")  # what the socket did not take yet

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = socket.create_connection((host, port), timeout)

    def start_batching(self) -> bytes:
        """From now on collect what is written; return what was read ahead."""
        self.sock.setblocking(False)
        return super().start_batching()

    @property
    def is_full(self) -> bool:
        """Whether there is something to send that the socket does not take now."""
        return bool(self._rest)

    def flush(self) -> None:
        """Send what was collected, as far as the socket takes it now."""
        while self.sock is not None and (self._rest or self._outgoing):
            if not self._rest:
                self._rest = memoryview(self._take_outgoing())
            try:
                sent = self._send_now(self._rest)
            except OSError as exc:
                logger.debug("sending: %s", exc)
                self.abort()  # reading notices, and the connection is let go of
                return
            if not sent:
                return
            self._count_sent(sent)
            self._rest = self._rest[sent:]

    def _send_now(self, data: Any) -> int:
        try:
            sent: int = self.sock.send(data)
        except BlockingIOError:
            return 0
        return sent

    def abort(self) -> None:
        """Shut the socket down: reading ends."""
        if self.sock is not None:
            with suppress(OSError):  # it is over in any case
                self.sock.shutdown(socket.SHUT_RDWR)

    def receive(self, size: int = READ_SIZE) -> bytes | None:
        """Return what is there; None for nothing, b"" when the broker has closed the connection."""
        try:
            data: bytes = self.sock.recv(size)
        except BlockingIOError:
            return None
        return data

    def forget(self) -> None:
        """Let go of the socket without a word: another process goes on using the connection."""
        self.sock.close()


class ThreadTlsSocket(EncryptedSocket, ThreadSocket):
    """An encrypted connection."""

    def receive(self, size: int = READ_SIZE) -> bytes | None:
        """Return what is there; None for nothing, b"" when the broker has closed the connection."""
        received = super().receive(size)
        if not received:
            return received
        data = self._tls.decrypt(received)
        return data if data or self._tls.is_over else None

    def _shutdown_transport(self) -> None:
        # Half of a record may be on its way: then nothing can follow it.
        if self.connected and not self._rest:
            self._send_now(self._tls.say_goodbye())
