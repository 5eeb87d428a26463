"""The broker's side of two connections, played by hand: no other process, and no system call.

Both connections are made to a real broker; then their sockets are replaced. What the program
writes is counted, and what it reads was encoded before: so its own work is all that is measured.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

from rpcnode.concurrency import Event, sleep

BATCH = 20  # messages that are read at once, about what a busy broker gives
_PUBLISH_METHOD = b"\x00\x3c\x00\x28"
_confirm = Struct(">BHIHHQBB").pack
_ACK_FRAME_SIZE = 21


class Feed:
    """Takes the place of a connection's socket: `read()` is called for what comes next."""

    def __init__(self, channel: Any, read: Callable[[], bytes], write: Callable[[bytes], object]):
        self.wanted: Event[None] = Event()
        self._read = read
        self._write = write
        socket = channel.connection.transport
        socket.receive = self._receive
        socket._send_now = self._send
        self._wake_reader(channel, socket)

    def wake(self) -> None:
        """There is something to read again."""
        self.wanted.set()

    def _receive(self, _size: int) -> bytes:
        while not (data := self._read()):
            self.wanted = Event()
            self.wanted.wait()
        sleep(0)  # others run between two reads, as they do with a socket
        return data

    def _send(self, data: bytes) -> int:
        self._write(data)
        return len(data)

    @staticmethod
    def _wake_reader(channel: Any, socket: Any) -> None:
        # The reader waits for the real socket: an answer of the broker ends that. It is the
        # answer to a basic.qos, which changes nothing.
        arguments = b"\x00\x3c\x00\x0a" + bytes(7)
        head = b"\x01" + channel.channel_id.to_bytes(2) + len(arguments).to_bytes(4)
        socket.sock.fd.send(head + arguments + b"\xce")


class Confirms:
    """The publishing connection: all that was published is confirmed at once."""

    def __init__(self, channel: Any, confirmed: int, on_publish: Callable[[bytes], object]) -> None:
        self._channel_id = channel.channel_id
        self._published = self._confirmed = confirmed
        self._on_publish = on_publish
        self._feed = Feed(channel, self._next, self._take)

    def _take(self, data: bytes) -> None:
        self._published += data.count(_PUBLISH_METHOD)
        self._on_publish(data)
        self._feed.wake()

    def _next(self) -> bytes:
        if self._published == self._confirmed:
            return b""
        self._confirmed = self._published
        return _confirm(1, self._channel_id, 13, 60, 80, self._confirmed, 1, 0xCE)


def delivery(channel_id: int, consumer: str, tag: int, exchange: str, key: str) -> bytes:
    """Return the method frame of a delivery."""
    arguments = b"\x00\x3c\x00\x3c" + _text(consumer) + tag.to_bytes(8) + b"\0"
    arguments += _text(exchange) + _text(key)
    return b"\x01" + channel_id.to_bytes(2) + len(arguments).to_bytes(4) + arguments + b"\xce"


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def acks_in(data: bytes) -> int:
    """Return how many acks of one delivery each were written."""
    return len(data) // _ACK_FRAME_SIZE
