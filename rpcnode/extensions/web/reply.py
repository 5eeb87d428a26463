"""An answer on its way to the client: whole, in parts, or a part of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol

from rpcnode.concurrency import getcurrent, kill
from rpcnode.extensions.web.encoding import Headers, encode_item
from rpcnode.httpd.errors import ClientGone

CHUNK = 65_536
_NOTHING = object()


class Body(Protocol):
    """A body that is not simply bytes; it sends itself."""

    def send(self, exchange: Any, status: int, headers: Headers) -> None:
        """Give the whole answer, and close what it comes from; may raise ClientGone."""

    def pieces(self) -> Iterator[bytes]:
        """Yield it for somebody else to send, and close what it comes from at the end."""

    def close(self) -> None:
        """Let go of what it comes from, when it is not sent."""


class Reply:
    """A status, header fields, and a body: bytes, or what sends itself.

    The headers may be those of other replies, too: to add one, make a new list.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | Body = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def is_streamed(self) -> bool:
        """Whether sending it takes time, or runs code of the service."""
        return not isinstance(self.body, bytes)

    def send(self, exchange: Any) -> None:
        """Give this as the answer; a client that is gone is no error."""
        body = self.body
        if isinstance(body, bytes):
            exchange.respond(self.status, self.headers, body)
            return
        try:
            body.send(exchange, self.status, self.headers)
        except ClientGone:
            exchange.abort()

    def close(self) -> None:
        """Let go of what the body comes from, when this is not sent."""
        if not isinstance(self.body, bytes):
            self.body.close()


class Stream:
    """A body that is made item by item, each sent when it is there.

    The first item tells the content type where the headers do not. `items` is closed at the
    end if it can be; when the client goes, that raises GeneratorExit in a generator, also where
    it waits for something. `on_close` is called last.
    """

    def __init__(
        self,
        items: Iterator[Any],
        on_close: Callable[[], object] | None = None,
        length: int | None = None,
    ) -> None:
        self._items = items
        self._on_close = on_close
        self._length = length
        self._is_making = False
        self._is_ended = False
        self._thread: Any = None

    def send(self, exchange: Any, status: int, headers: Headers) -> None:
        """Send item by item, waiting while the client is slow; raise ClientGone."""
        with self._closing(exchange):
            if exchange.method == "HEAD":
                exchange.begin(status, headers, self._length)
            else:
                self._send(exchange, status, headers)
            exchange.finish()

    def pieces(self) -> Iterator[bytes]:
        """Yield the items as bytes."""
        try:
            for item in self._items:
                yield encode_item(item)[1]
        finally:
            self.close()

    def end(self) -> None:
        """Let it end in good order, after what is being sent; a generator gets GeneratorExit."""
        self._is_ended = True
        self._interrupt()

    def _interrupt(self) -> None:
        # Who waits in `write` is told there, or looks afterwards.
        if self._is_making:
            kill(self._thread, GeneratorExit())

    def close(self) -> None:
        """Close the items."""
        try:
            if hasattr(self._items, "close"):
                self._items.close()
        finally:
            if self._on_close is not None:
                self._on_close()

    def _send(self, exchange: Any, status: int, headers: Headers) -> None:
        # The first item comes before the head: an error in its making is answered as such.
        item = self._next()
        kind, piece = ([], b"") if item is _NOTHING else encode_item(item)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = [*headers, *kind]
        exchange.begin(status, headers, self._length)
        while item is not _NOTHING:
            if piece:
                exchange.write(piece)
            item = self._next()
            _kind, piece = ([], b"") if item is _NOTHING else encode_item(item)

    def _next(self) -> Any:
        if self._is_ended:
            return _NOTHING
        self._is_making = True
        try:
            return next(self._items, _NOTHING)
        except GeneratorExit:
            if self._is_ended:
                return _NOTHING
            raise
        finally:
            self._is_making = False

    @contextmanager
    def _closing(self, exchange: Any) -> Iterator[None]:
        self._thread = getcurrent()
        exchange.on_gone = self._interrupt
        try:
            if exchange.is_gone:
                raise ClientGone("the client is gone")
            yield
        except GeneratorExit:
            raise ClientGone("the client went while its answer was made") from None
        finally:
            exchange.on_gone = None
            self._thread = None
            self.close()


class FilePart:
    """A body that is a part of an open file; memory stays flat."""

    def __init__(self, file: IO[bytes], offset: int, count: int) -> None:
        self._file = file
        self._offset = offset
        self._count = count

    def send(self, exchange: Any, status: int, headers: Headers) -> None:
        """Send the part; raise ClientGone."""
        with self._file:
            exchange.begin(status, headers, self._count)
            if exchange.method != "HEAD":
                exchange.send_file(self._file, self._offset, self._count)
            exchange.finish()

    def pieces(self) -> Iterator[bytes]:
        """Yield the part in chunks."""
        with self._file:
            self._file.seek(self._offset)
            left = self._count
            while left > 0 and (chunk := self._file.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()
