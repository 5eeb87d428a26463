"""Contents: the properties and the body that come with a method of the broker."""

from collections.abc import Callable
from struct import Struct
from typing import Any

_body_size = Struct(">4xQ").unpack_from


class Content:
    """A message as the broker sends it, in the shape that py-amqp and kombu expect.

    `problem` is the error when its properties cannot be read; then there are none. That is a
    problem of this message only: whatever a stranger has sent, the reader must go on.
    """

    __slots__ = ("body", "channel", "delivery_info", "problem", "properties")

    def __init__(
        self,
        properties: dict[str, Any],
        body: bytes,
        delivery_info: dict[str, Any],
        problem: Exception | None = None,
    ) -> None:
        self.properties = properties
        self.body = body
        self.delivery_info = delivery_info
        self.problem = problem
        self.channel: Any = None

    @property
    def delivery_tag(self) -> Any:
        """The number that an ack of this delivery names."""
        return self.delivery_info["delivery_tag"]


class Assembly:
    """A content whose frames are still coming in.

    `missing` is how many bytes of the body are still to come.

    The chunks of a body are kept as they are and joined once, so that a large body takes linear
    time.
    """

    __slots__ = ("_chunks", "_header", "arguments", "method", "missing")

    def __init__(self, method: tuple[int, int], arguments: bytes) -> None:
        self.method = method
        self.arguments = arguments
        self._header: bytes | None = None
        self._chunks: list[bytes] = []
        self.missing = 0

    @property
    def has_header(self) -> bool:
        """Whether what comes next belongs to the body."""
        return self._header is not None

    def add_header(self, header: bytes) -> bool:
        """Take the payload of the header frame; return whether that was all."""
        (self.missing,) = _body_size(header)
        self._header = header
        return not self.missing

    def add_body(self, chunk: bytes) -> bool:
        """Take the payload of a body frame; return whether that was the last."""
        self._chunks.append(chunk)
        self.missing -= len(chunk)
        return self.missing <= 0

    def content(self, decode_properties: Callable[[bytes], dict[str, Any]]) -> Content:
        """Return what was assembled."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        header = self._header or b""
        return make_content(decode_properties, header, body, {})


def make_content(
    decode_properties: Callable[[bytes], dict[str, Any]],
    header: bytes,
    body: bytes,
    delivery_info: dict[str, Any],
) -> Content:
    """Return the content with the properties in the payload of a header frame."""
    try:
        properties = decode_properties(header)
    except Exception as exc:  # see `Content.problem`
        return Content({}, body, delivery_info, exc)
    return Content(properties, body, delivery_info)
