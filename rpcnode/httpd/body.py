"""The body of a request, between the socket and who reads it."""

import io
from collections import deque
from typing import Any, Protocol

from rpcnode.httpd.errors import BodyTooLarge, HttpdError, InvalidAnswer, Refusal

HIGH_WATER = 131_072  # bytes waiting to be read above which nothing more is taken from the client
DRAIN_LIMIT = 262_144  # bytes of a body that nobody read, dropped to keep a connection
_COST = 64  # bytes that a part costs us beside its own
_STEP = 65_536  # bytes taken at once


class Source(Protocol):
    """The connection that a body arrives on."""

    def wait_for_body(self) -> None:
        """Wait until there is more, the end, or an error."""

    def on_body(self) -> None:
        """Called when there is more, the end, or an error."""

    def on_body_taken(self) -> None:
        """Called when there may be room for more."""


class Body:
    """What arrived of a request's body and was not read yet.

    `limit` is what it may have at most, `length` what the client says that it has, None if it does
    not. An error that ends it is raised again by each later read.
    """

    __slots__ = (
        *("_error", "_is_dropped", "_offset", "_parts", "_seen", "_source", "_waited", "_weight"),
        *("is_complete", "length", "limit", "received"),
    )

    def __init__(self, source: Source, length: int | None, limit: int) -> None:
        self._source = source
        self.length = length
        self.limit = limit
        self.received = 0
        self.is_complete = False
        self._parts: deque[bytes] = deque()
        self._offset = 0  # bytes of the first part that were taken
        self._weight = 0  # what the parts cost
        self._waited = 0.0  # seconds that someone has waited for what follows the first `_seen`
        self._seen = 0  # bytes that came fast enough
        self._is_dropped = False
        self._error: HttpdError | None = None

    @property
    def is_full(self) -> bool:
        """Whether the client should wait before it sends more."""
        return self._weight > HIGH_WATER or (self._error is not None and not self._is_dropped)

    @property
    def is_worth_dropping(self) -> bool:
        """Whether what is missing can be read and dropped to keep the connection."""
        if self.length is None or self._error is not None:
            return False
        return self.length - self.received <= DRAIN_LIMIT

    def restrict(self, limit: int) -> None:
        """Set the limit; what came with the head, before anybody could, counts as well."""
        self.limit = limit
        if self.received > limit and self._error is None:
            self._error = _too_large(limit)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; called by the parser."""
        self.received += len(data)
        if self._is_dropped:
            return
        if self.received > self.limit:
            self.fail(_too_large(self.limit))
            return
        self._parts.append(data)
        self._weight += len(data) + _COST
        self._source.on_body()

    def end(self) -> None:
        """Take note that nothing follows; called by the parser."""
        self.is_complete = True
        self._source.on_body()

    def fail(self, error: Refusal) -> None:
        """Let who reads know that the rest will not come."""
        if self._error is None and not self.is_complete:
            self._error = error
            self._source.on_body()

    def drop(self) -> None:
        """Take what still comes, and forget it: the request is answered."""
        self._is_dropped = True
        self._error = InvalidAnswer("the request was answered before its body was read")
        self._parts.clear()
        self._weight = 0
        self._source.on_body()

    def patience(self, timeout: float, rate: int) -> float:
        """Return for how many seconds to wait for more.

        In each `timeout` seconds of waiting `rate` bytes a second must come: who sends single
        bytes would hold up a worker as long as they like. The time that a reader takes does not
        count.
        """
        if self.received - self._seen >= rate * timeout:
            self._seen = self.received
            self._waited = 0
        return timeout - self._waited

    def count_wait(self, seconds: float) -> None:
        """Take note that someone has waited."""
        self._waited += seconds

    def gather(self) -> None:
        """Wait until it is complete, or no more of it is kept; what is wrong is told by a read."""
        while not (self.is_complete or self.is_full):
            self._source.wait_for_body()

    def read_some(self, size: int = _STEP) -> bytes:
        """Return the next bytes as soon as there are any; b"" at the end."""
        if self.length is not None and self.length > self.limit:
            raise _too_large(self.limit)
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            self._source.wait_for_body()
        return self._take(size)

    def _take(self, size: int) -> bytes:
        part, offset = self._parts[0], self._offset
        if 0 < len(part) - offset <= size:
            self._parts.popleft()
            self._offset = 0
            self._weight -= len(part) + _COST
            self._source.on_body_taken()
            return part[offset:] if offset else part
        self._offset += size
        return part[offset : offset + size]

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or all that follows; fewer only at the end."""
        if size == 0:
            return b""
        if size < 0 and self.is_complete and self._error is None and len(self._parts) == 1:
            return self._take(self.received)  # its end need not be looked for
        parts = []
        missing = size
        while missing and (part := self.read_some(_STEP if size < 0 else missing)):
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes")


class BodyFile(io.RawIOBase):
    """A body as a file object."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Put the next bytes into the buffer; return their number."""
        view = memoryview(buffer).cast("B")
        data = self._body.read_some(len(view))
        view[: len(data)] = data
        return len(data)
