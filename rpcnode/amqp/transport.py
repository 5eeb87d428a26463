"""A kombu transport for RabbitMQ: one reader, and writes that are sent once per hub round.

Any green thread may publish, ack or call a synchronous method. Only the reader (whoever runs
`drain_events` after `start_reading`) touches the socket's receiving side; the synchronous
methods of py-amqp wait for an event that the reader fires.
"""

from typing import Any

from amqp.exceptions import RecoverableConnectionError
from kombu.transport import pyamqp

from rpcnode.amqp.channel import Channel
from rpcnode.amqp.framing import FramedConnection
from rpcnode.amqp.sockets import TcpSocket, TlsSocket


class Connection(FramedConnection):
    """An AMQP connection that one green thread reads."""

    Channel = Channel
    reader: Any = None

    def Transport(  # noqa: N802 (py-amqp's name)
        self, host: str, connect_timeout: float, ssl: Any, *_timeouts: Any, **options: Any
    ) -> Any:
        """Return the socket; py-amqp's hook. The kernel's timeouts mean nothing to it.

        `ssl` is false, or a callable that returns a `TlsSession`.
        """
        if ssl:
            return TlsSocket(host, ssl, connect_timeout=connect_timeout, **options)
        return TcpSocket(host, connect_timeout=connect_timeout, **options)

    def start_reading(self, reader: Any) -> None:
        """Make `reader` the one green thread that reads, and batch writes from now on."""
        self.reader = reader
        self.start_batching()

    def channel(self, channel_id: Any = None, callback: Any = None) -> Any:
        """Return a new channel."""
        if self.channels is None:
            raise RecoverableConnectionError("the connection is closed")
        channel = self.Channel(self, channel_id, on_open=callback)
        try:
            channel.open()
        except BaseException:  # a timeout or a kill, while waiting for the answer
            channel.start_closing()
            raise
        return channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Read what is there and dispatch it; the reader calls this in a loop."""
        if self.reader is None:
            super().drain_events(timeout)
            return
        if self._transport is None:
            raise RecoverableConnectionError("the connection is closed")
        self.feed(self._transport.receive(self.read_size))

    def abort(self) -> None:
        """Cut the connection; the reader cleans up."""
        if self._transport is not None:
            self._transport.abort()

    def wait_for_room(self, timeout: float | None) -> bool:
        """Wait while too much is still to be sent; return False when that took too long."""
        return self._transport is None or self._transport.wait_for_room(timeout)


class Transport(pyamqp.Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's way to our connections."""

    Connection = Connection
