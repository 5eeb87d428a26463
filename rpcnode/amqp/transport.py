"""A kombu transport for RabbitMQ: one reader, and writes that are sent once per hub round.

Any green thread may publish, ack or call a synchronous method. Only the reader (whoever runs
`drain_events` after `start_reading`) touches the socket's receiving side; the synchronous
methods of py-amqp wait for an event that the reader fires.
"""

import logging
from collections.abc import Callable
from struct import Struct
from typing import Any

from amqp import spec
from amqp.exceptions import RecoverableConnectionError, UnexpectedFrame
from kombu.transport import pyamqp

from rpcnode.amqp.channel import GONE, Channel
from rpcnode.amqp.codec import (
    BODY_FRAME,
    FRAME_END,
    FRAME_OVERHEAD,
    HEADER_FRAME,
    METHOD_FRAME,
)
from rpcnode.amqp.content import Assembly, Content
from rpcnode.amqp.fastpath import choose_codec
from rpcnode.amqp.sockets import LARGE_READ, READ_SIZE, TcpSocket, TlsSocket

logger = logging.getLogger(__name__)

HEARTBEAT_FRAME = 8
_CONTENT_METHODS = frozenset((spec.Basic.Deliver, spec.Basic.Return, spec.Basic.GetOk))
_DELIVER = Struct(">HH").pack(*spec.Basic.Deliver)
_frame_head = Struct(">BHI").unpack_from
_method_number = Struct(">HH").unpack_from


class Connection(pyamqp.Connection):  # type: ignore[misc]  # kombu is untyped
    """An AMQP connection that one green thread reads.

    `codec` has the hot methods: by hand, or where `fast_path` is false in py-amqp's way.
    `incomplete` are the contents whose last frame is still to come, by their channels.
    """

    Channel = Channel
    reader: Any = None

    def __init__(self, *args: Any, fast_path: bool = True, **options: Any) -> None:
        self.codec = choose_codec(fast_path)
        self.incomplete: dict[int, Assembly] = {}
        self.closed_by_broker: set[int] = set()
        self._lost_channels: list[Channel] = []
        super().__init__(*args, frame_handler=frame_handler, **options)

    def Transport(  # noqa: N802 (py-amqp's name)
        self, host: str, connect_timeout: float, ssl: Any, *_timeouts: Any, **options: Any
    ) -> Any:
        """Return the socket; py-amqp's hook. The kernel's timeouts mean nothing to it.

        `ssl` is false, or a callable that returns a `TlsSession`.
        """
        if ssl:
            return TlsSocket(host, ssl, connect_timeout=connect_timeout, **options)
        return TcpSocket(host, connect_timeout=connect_timeout, **options)

    def connect(self, callback: Any = None) -> None:
        """Connect and shake hands, in the calling green thread."""
        try:
            super().connect(callback)
        except BaseException:
            self.collect()
            raise
        # Notifications of a blocked broker still arrive; but publishing must not read.
        capabilities = self.client_properties.get("capabilities", {})
        if "connection.blocked" in capabilities:
            capabilities["connection.blocked"] = False

    def start_reading(self, reader: Any) -> None:
        """Make `reader` the one green thread that reads, and batch writes from now on."""
        self.reader = reader
        self._unread = self._transport.start_batching()

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
        # In the middle of a large message, nobody is kept waiting by taking more of it.
        is_large = any(one.missing > LARGE_READ for one in self.incomplete.values())
        data = self._transport.receive(LARGE_READ if is_large else READ_SIZE)
        if not data:
            raise RecoverableConnectionError("the broker closed the connection")
        self.bytes_recv += 1  # also a part of a frame is a sign of life
        self._unread = self._dispatch(self._unread + data if self._unread else data)

    def _dispatch(self, data: bytes) -> bytes:
        """Hand over the whole frames of `data`; return the rest."""
        on_frame, read_delivery = self._on_inbound_frame, self.codec.read_delivery
        incomplete = self.incomplete
        start, size = 0, len(data)
        while size - start >= FRAME_OVERHEAD:
            kind, channel, length = _frame_head(data, start)
            end = start + 7 + length
            if end >= size:
                self._check_length(length)
                break
            if data[end] != FRAME_END:
                raise UnexpectedFrame(f"a frame ends with {data[end]:#04x}, not {FRAME_END:#04x}")
            delivery = None
            is_delivery = data[start + 7 : start + 11] == _DELIVER and kind == METHOD_FRAME
            if is_delivery and not incomplete:
                delivery = read_delivery(data, channel, start + 11, end)
            if delivery is None:
                on_frame((kind, channel, data[start + 7 : end]))
                start = end + 1
            else:
                content, start = delivery
                self._open_channel(channel, spec.Basic.Deliver).deliver(content)
            if self._transport is None:  # that was the end of the connection
                return b""
        return data[start:]

    def _check_length(self, length: int) -> None:
        if length > self.frame_max - FRAME_OVERHEAD:
            raise UnexpectedFrame(f"a frame of {length} bytes, more than was agreed on")

    def on_inbound_method(
        self, channel_id: int, method: tuple[int, int], payload: bytes, content: Content | None
    ) -> None:
        """Hand a method to its channel."""
        self._open_channel(channel_id, method).dispatch_method(method, payload, content)

    def _open_channel(self, channel_id: int, method: tuple[int, int]) -> Any:
        if self.channels is None:
            raise RecoverableConnectionError("the connection is closed")
        channel = self.channels.get(channel_id)
        if channel is None and channel_id in self.closed_by_broker:
            return GONE
        if channel is None:
            raise UnexpectedFrame(f"method {method} for channel {channel_id}, which is not open")
        return channel

    def collect(self) -> None:
        """Close the socket at once; whatever was to be sent is tried once more."""
        if self._transport is not None and self.reader is not None:
            self._transport.flush()
        self._lost_channels += [one for one in (self.channels or {}).values() if one is not self]
        super().collect()

    def _on_close(self, *reason: Any) -> None:
        """Answer the broker's Close; it takes nothing any more but that answer."""
        if self.reader is not None:  # else it is still the handshake
            self._transport.hold_back()
        super()._on_close(*reason)

    def fail_waiters(self, error: BaseException) -> None:
        """Close for good: everyone who waits for an answer gets `error`."""
        if self._transport is not None and self.reader is not None:
            self._transport.hold_back()
        self.collect()
        channels, self._lost_channels = self._lost_channels, []
        for channel in channels:
            on_lost = channel.on_lost
            channel.fail_waiters(error)
            if on_lost is not None:
                _tell(on_lost, error)

    def start_closing(self) -> None:
        """Ask the broker to close, without waiting; the reader ends with its answer."""
        self.is_closing = True
        self.send_method(spec.Connection.Close, "BsBB", (0, "", 0, 0))

    def abort(self) -> None:
        """Cut the connection; the reader cleans up."""
        if self._transport is not None:
            self._transport.abort()

    def wait_for_room(self, timeout: float | None) -> bool:
        """Wait while too much is still to be sent; return False when that took too long."""
        return self._transport is None or self._transport.wait_for_room(timeout)


def _tell(on_lost: Callable[[BaseException], object], error: BaseException) -> None:
    try:
        on_lost(error)
    except Exception:  # the other channels must hear of it, too
        logger.error("%r failed", on_lost, exc_info=True)


def frame_handler(connection: Any, callback: Callable[..., object]) -> Callable[[Any], bool]:
    """Return the function that is called with each frame, and returns whether it ended a method.

    It puts methods and their content together, and calls `callback` with the channel's number,
    the method, its arguments and its content.
    """
    incomplete: dict[int, Assembly] = connection.incomplete
    decode_properties = connection.codec.decode_properties

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel, payload = frame
        assembly = incomplete.get(channel)
        if kind == METHOD_FRAME and assembly is None:
            method = _method_number(payload)
            if method in _CONTENT_METHODS:
                incomplete[channel] = Assembly(method, payload)
                return False
            callback(channel, method, payload, None)
            return True
        if kind == HEARTBEAT_FRAME:
            return False
        if assembly is None or kind != (BODY_FRAME if assembly.has_header else HEADER_FRAME):
            raise UnexpectedFrame(f"a frame of kind {kind} on channel {channel}")
        if not (assembly.add_body if assembly.has_header else assembly.add_header)(payload):
            return False
        del incomplete[channel]
        content = assembly.content(decode_properties)
        callback(channel, assembly.method, assembly.arguments, content)
        return True

    return on_frame


class Transport(pyamqp.Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's way to our connections."""

    Connection = Connection
