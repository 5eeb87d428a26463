"""From bytes to requests: httptools, and the limits of a head."""

import re
from typing import Any, Protocol

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from rpcnode.httpd.errors import Refusal
from rpcnode.httpd.heads import Field, Head
from rpcnode.httpd.settings import ServerSettings

_UNKNOWN_METHOD = re.compile(rb"[A-Z-]{1,32} ")
_OTHER_VERSIONS = ("Invalid HTTP version", "Pause on PRI/Upgrade")


class BodyReceiver(Protocol):
    """Who gets the body of a request."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def end(self) -> None:
        """Called after the last byte."""


class HeadReceiver(Protocol):
    """Who gets the requests of a connection."""

    def on_head(self, head: Head) -> BodyReceiver | None:
        """Take a request; return who gets its body if it has one."""


class RequestParser:
    """Reads the requests of one connection; trailers are dropped.

    `head_size` counts the bytes of a head that is not complete, as far as is known: those that
    came together with the end of what was before are not. `is_over` says that all that follows is
    ignored: after the last request, or after a malformed one.
    """

    __slots__ = (
        *("_body", "_fields", "_has_moved", "_is_in_head", "_is_last", "_limits", "_parser"),
        *("_receiver", "_refusal", "_silent", "_size", "_target", "_upgraded"),
        *("head_size", "is_over"),
    )

    def __init__(self, receiver: HeadReceiver, limits: ServerSettings) -> None:
        self._receiver: HeadReceiver | None = receiver
        self._limits = limits
        self._body: BodyReceiver | None = None
        self._fields: list[Field] = []
        self._target = b""
        self._size = 0  # of what is being parsed
        self._silent = 0  # bytes in a body since the last ones of it: of chunks' heads, of trailers
        self._has_moved = False  # whether what is being parsed has ended anything
        self._is_in_head = True
        self._is_last = False  # whether the request is the last one of the connection
        self._upgraded: Head | None = None  # a request for another protocol
        self._refusal: Refusal | None = None
        self.head_size = 0
        self.is_over = False
        self._parser: Any = HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take what a client has sent; raises Refusal where that is malformed: then it is over."""
        if self.is_over:
            return
        self._size = len(data)
        self._has_moved = False
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as stop:
            self._stay_with_http(data[stop.args[0] :])
        except HttpParserError as exc:
            if not self.is_over:
                self.is_over = True
                raise self._refusal or self._refusal_of(exc, data) from None
        else:
            if self._has_moved:
                self.head_size = 0
            else:
                self._count(self._size)

    def release(self) -> None:
        """Let go of the receiver, so that none of both waits for the garbage collector."""
        self.is_over = True
        self._receiver = self._body = None
        self._parser = None

    def _count(self, size: int) -> None:
        limit = self._limits.max_head
        if self._is_in_head:
            self.head_size += size
            if self.head_size > limit:
                self.is_over = True
                raise self._too_long(self._target)
        else:
            self._silent += size
            if self._silent > limit:
                self.is_over = True
                raise Refusal("there is too much between the parts of the body")

    def _too_long(self, target: bytes) -> Refusal:
        if len(target) > self._limits.max_head // 2:
            return Refusal("the target is too long", 414)
        return Refusal("the head is too long", 431)

    def _refusal_of(self, error: HttpParserError, data: bytes) -> Refusal:
        text = str(error)
        if text in _OTHER_VERSIONS:
            return Refusal("this version of HTTP is not spoken here", 505)
        is_method = isinstance(error, HttpParserInvalidMethodError)
        is_start = not self.head_size and not self._has_moved
        if is_method and is_start and _UNKNOWN_METHOD.match(data):
            return Refusal("the method is not known", 501)
        return Refusal(f"the request is malformed: {text[:1].lower()}{text[1:]}")

    def _stay_with_http(self, rest: bytes) -> None:
        """Go on as if the client had not asked for another protocol.

        httptools takes what follows the head for that protocol's. Where it is a body, a new parser
        that was told how long it is reads it: else it would be taken for the next request.
        """
        if self._upgraded is not None:
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(_framing_of(self._upgraded))
            self._upgraded = None
        if rest:
            self.feed(rest)

    # What httptools calls:

    def on_url(self, part: bytes) -> None:
        """Take the target, or the next part of it."""
        self._target = self._target + part if self._target else part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head, or of a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, and hand it over."""
        fields, self._fields = self._fields, []
        target, self._target = self._target, b""
        if self._upgraded is not None or self.is_over or self._receiver is None:
            return
        self._has_moved = True
        try:
            head = self._head_of(target, fields)
        except Refusal as refusal:
            self._refusal = refusal  # httptools tells only that something was raised
            raise
        self._body = self._receiver.on_head(head)

    def _head_of(self, target: bytes, fields: list[Field]) -> Head:
        parser, limits = self._parser, self._limits
        if self.head_size + self._size > limits.max_head:
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in fields)
            if size > limits.max_head:
                raise self._too_long(target)
        if len(fields) > limits.max_fields:
            raise Refusal("there are too many header fields", 431)
        version = parser.get_http_version()
        head = Head(parser.get_method(), target, version, fields)
        head.keeps_alive = parser.should_keep_alive() and not (version == "1.0" and head.closes)
        self._is_last = not head.keeps_alive
        self._is_in_head = False
        if head.has_body and parser.should_upgrade():
            self._upgraded = head
        return head

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._has_moved = True
        self._silent = 0
        if self._body is not None:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        """Take note that the next bytes are the next request's."""
        if self._upgraded is not None:
            return
        self._has_moved = True
        self._is_in_head = True
        self._silent = 0
        self.is_over = self._is_last
        if self._fields:
            self._fields = []  # trailers
        if self._body is not None:
            self._body.end()
            self._body = None


def _framing_of(head: Head) -> bytes:
    """Return the head of a request with the same body, and nothing else."""
    length = head.content_length
    size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    # That data after a last request is an error, is_over takes care of.
    return b"POST / HTTP/1.1\r\nConnection: keep-alive\r\n%b\r\n\r\n" % size
