"""Sockets whose writes are collected, and sent together: what does not depend on who waits."""

from typing import Any

from amqp.transport import TCPTransport as AmqpSocket

READ_SIZE = 65_536  # bytes taken at once: some hundred deliveries, then others have their turn
LARGE_READ = 262_144  # bytes taken at once in the middle of a large message
HIGH_WATER = 1_048_576  # bytes waiting to be sent above which publishers wait


class BatchedSocket(AmqpSocket):  # type: ignore[misc]  # py-amqp is untyped
    """A connection that knows what it was given to send, and how much of it was sent."""

    sock: Any
    connected: bool
    _read_buffer: bytes

    def start_batching(self) -> bytes:
        """From now on collect what is written; return what was read ahead."""
        self._outgoing: list[bytes] = []
        self._batch: list[bytes] = []  # what was taken out of it, until it is sent
        self._batch_sent = 0
        self._held_back: list[bytes] = []
        self.outgoing_size = 0
        self._write = self._append
        read_ahead, self._read_buffer = self._read_buffer, b""
        return read_ahead

    def _append(self, data: Any) -> None:
        chunk = bytes(data)  # py-amqp lends a view of its buffer
        self._outgoing.append(chunk)
        self.outgoing_size += len(chunk)

    def _take_outgoing(self) -> bytes:
        batch = self._batch = self._outgoing
        self._outgoing, self._batch_sent = [], 0
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _send_now(self, data: bytes) -> int:
        """Send what the socket takes without waiting; return how much that was."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it sends")

    def _count_sent(self, size: int) -> None:
        self._batch_sent += size
        self.outgoing_size -= size

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
