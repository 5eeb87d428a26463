"""AMQP connections without I/O: what the frames of the broker mean.

Bytes go in, methods reach their channels; who reads the bytes, and how somebody waits for an
answer, is the business of those who derive from these.
"""

import logging
from collections.abc import Callable
from struct import Struct
from typing import Any

from amqp import spec
from amqp.exceptions import RecoverableConnectionError, UnexpectedFrame
from kombu.transport import pyamqp

from rpcnode.amqp.batches import LARGE_READ, READ_SIZE
from rpcnode.amqp.codec import (
    BODY_FRAME,
    FRAME_END,
    FRAME_OVERHEAD,
    HEADER_FRAME,
    METHOD_FRAME,
)
from rpcnode.amqp.content import Assembly, Content
from rpcnode.amqp.fastpath import choose_codec
from rpcnode.amqp.framed_channel import GONE

logger = logging.getLogger(__name__)

HEARTBEAT_FRAME = 8
_CONTENT_METHODS = frozenset((spec.Basic.Deliver, spec.Basic.Return, spec.Basic.GetOk))
_DELIVER = Struct(">HH").pack(*spec.Basic.Deliver)
_frame_head = Struct(">BHI").unpack_from
_method_number = Struct(">HH").unpack_from


class FramedConnection(pyamqp.Connection):  # type: ignore[misc]  # kombu is untyped
    """An AMQP connection that is given bytes.

    `codec` has the hot methods: by hand, or where `fast_path` is false in py-amqp's way.
    `incomplete` are the contents whose last frame is still to come, by their channels.
    """

    def __init__(self, *args: Any, fast_path: bool = True, **options: Any) -> None:
        self.codec = choose_codec(fast_path)
        self.incomplete: dict[int, Assembly] = {}
        self.closed_by_broker: set[int] = set()
        self.is_batching = False
        self._lost_channels: list[Any] = []
        super().__init__(*args, frame_handler=frame_handler, **options)

    def connect(self, callback: Any = None) -> None:
        """Connect and shake hands, in the calling thread."""
        try:
            super().connect(callback)
        except BaseException:
            self.collect()
            raise
        # Notifications of a blocked broker still arrive; but publishing must not read.
        capabilities = self.client_properties.get("capabilities", {})
        if "connection.blocked" in capabilities:
            capabilities["connection.blocked"] = False

    def start_batching(self) -> None:
        """Collect what is written from now on, and read what is given to `feed`."""
        self.is_batching = True
        self._unread = self._transport.start_batching()

    @property
    def read_size(self) -> int:
        """How much to read at once."""
        # In the middle of a large message, nobody is kept waiting by taking more of it.
        is_large = any(one.missing > LARGE_READ for one in self.incomplete.values())
        return LARGE_READ if is_large else READ_SIZE

    def feed(self, data: bytes) -> None:
        """Take what was read, and hand over what it completes; b"" means the end."""
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
        if self._transport is not None and self.is_batching:
            self._transport.flush()
        self._lost_channels += [one for one in (self.channels or {}).values() if one is not self]
        super().collect()

    def _on_close(self, *reason: Any) -> None:
        """Answer the broker's Close; it takes nothing any more but that answer."""
        if self.is_batching:  # else it is still the handshake
            self._transport.hold_back()
        super()._on_close(*reason)

    def fail_waiters(self, error: BaseException) -> None:
        """Close for good: everyone who waits for an answer gets `error`."""
        if self._transport is not None and self.is_batching:
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
