"""TLS between py-amqp and a socket, whoever waits for that socket."""

import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rpcnode.amqp.batches import READ_SIZE, BatchedSocket
from rpcnode.amqp.tls import TlsSession

logger = logging.getLogger(__name__)


class EncryptedSocket(BatchedSocket):
    """An encrypted connection: the same socket, with TLS between it and py-amqp.

    TLS works on bytes in memory, so that it is no matter who waits to read or to write. The
    handshakes wait; they are made before writes are batched.
    """

    connect_timeout: float | None

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
