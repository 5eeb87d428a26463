"""WSGI applications under our server (PEP 3333)."""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, TypeAlias

from rpcnode.extensions.web.encoding import Headers
from rpcnode.extensions.web.environ import environ_of
from rpcnode.httpd.errors import ClientGone

WsgiApplication: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def run_application(application: WsgiApplication, exchange: Any, prefix: str = "") -> None:
    """Let a WSGI application answer a request; a client that is gone is no error.

    `prefix` is where it is mounted. What the application raises is raised.
    """
    answer = _Answer(exchange)
    try:
        _answer(application(environ_of(exchange, prefix), answer.start), answer)
    except ClientGone:
        exchange.abort()


def _answer(chunks: Iterable[bytes], answer: "_Answer") -> None:
    try:
        answer.send(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


class _Answer:
    """An answer as WSGI has it: begun by one call, sent with the first bytes that are there."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._head: tuple[int, Headers] | None = None

    def start(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Note status and headers: `start_response`."""
        if exc_info is not None and self._exchange.is_responded:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise AssertionError("start_response was called twice without exc_info")
        self._head = int(status[:3]), list(headers)
        return self._write

    def send(self, chunks: Iterable[bytes]) -> None:
        """Send what the application returned."""
        if isinstance(chunks, (list, tuple)) and not self._exchange.is_responded:
            status, headers = self._checked_head()
            body = b"".join(chunks)
            if self._length(headers) in (None, len(body)) or self._exchange.method == "HEAD":
                self._exchange.respond(status, headers, body)
                return
        for chunk in chunks:
            if chunk:
                self._write(chunk)
        if not self._exchange.is_responded:
            self._begin()
        self._exchange.finish()

    def _write(self, chunk: bytes) -> None:
        if not self._exchange.is_responded:
            self._begin()
        if self._exchange.method != "HEAD":
            self._exchange.write(chunk)

    def _begin(self) -> None:
        status, headers = self._checked_head()
        self._exchange.begin(status, headers, self._length(headers))

    def _checked_head(self) -> tuple[int, Headers]:
        if self._head is None:
            raise AssertionError("the application did not call start_response")
        return self._head

    @staticmethod
    def _length(headers: Headers) -> int | None:
        for name, value in headers:
            if name.lower() == "content-length":
                return int(value)
        return None


def status_line(status: int) -> str:
    """Return a status as `start_response` wants it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:  # one of the user's own
        return f"{status} Status"


def chunks_of(exchange: Any, start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Give the answer in an `EnvironExchange` as a WSGI application does."""
    status, headers = exchange.wait_head()
    start_response(status_line(status), headers)
    parts: Iterator[bytes] = exchange.parts()
    return parts
