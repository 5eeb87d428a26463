"""One request and its answer."""

import io
import os
from collections.abc import Callable
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from rpcnode.concurrency import sleep
from rpcnode.httpd.answers import (
    BODYLESS,
    CHUNKED,
    LAST_CHUNK,
    encode_head,
    fields_of,
    framing_of_nothing,
)
from rpcnode.httpd.application import Headers
from rpcnode.httpd.body import Body, BodyFile
from rpcnode.httpd.errors import ClientGone, InvalidAnswer
from rpcnode.httpd.headers import RequestHeaders
from rpcnode.httpd.heads import Head

if TYPE_CHECKING:
    from rpcnode.httpd.connection import Connection

FAIR_SHARE = 262_144  # bytes written without waiting after which others have their turn
_STEP = 65_536


class Exchange:
    """One request and its answer; the package's docstring tells its life.

    `path` and `query_string` are as they were sent, percent-encoded; `path` is `*` for
    `OPTIONS *`. `content_length` is 0 where there is no body, and None where it is chunked; then
    `has_body` is true although it may be empty. `started` is monotonic seconds. `status` is that
    of the answer, 0 before there is one.
    """

    has_body = False
    content_length: int | None = 0

    is_responded = False  # whether an answer was given, or begun
    is_finished = False  # whether the answer is complete, or was cut
    is_cut = False  # whether the application has cut the connection
    is_gone = False  # whether the client has vanished
    expects_continue = False  # whether the client waits before it sends the body
    on_gone: Callable[[], object] | None = None
    status = 0
    bytes_sent = 0  # of the answer's body
    closes = False  # whether the connection ends after the answer
    body: Body | None = None
    _is_chunked = False
    _has_no_body = False  # whether the answer has none
    _left: int | None = None  # bytes of the answer's body that are missing, where that is known
    _unshared = 0  # bytes written since others had their turn
    _headers: RequestHeaders | None = None
    _stream: IO[bytes] | None = None

    def __init__(self, connection: "Connection", head: Head) -> None:
        self._connection = connection
        self._head = head
        self.method = head.method
        self.path = head.path
        self.query_string = head.query_string
        self.started = monotonic()
        if head.has_body:
            self.has_body = True
            self.content_length = head.content_length
            if head.expects_continue:
                self.expects_continue = True

    @property
    def target(self) -> str:
        """What the client asked for, as it was sent."""
        return self._head.target

    @property
    def version(self) -> str:
        """The version of HTTP that the client speaks: 1.0 or 1.1."""
        return self._head.version

    @property
    def headers(self) -> RequestHeaders:
        """The header fields of the request."""
        if self._headers is None:
            self._headers = RequestHeaders(self._head.fields)
        return self._headers

    @property
    def keeps_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return self._head.keeps_alive

    @property
    def scheme(self) -> str:
        """Return http or https."""
        return self._connection.link.scheme

    @property
    def remote_addr(self) -> str:
        """The address of who connected: the client, or a proxy before us."""
        return self._connection.link.remote[0]

    @property
    def remote_port(self) -> int:
        """The port of who connected."""
        return self._connection.link.remote[1]

    @property
    def server_addr(self) -> tuple[str, int]:
        """The address and the port that the client connected to."""
        return self._connection.link.local

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The certificate of a client that had to show one, as `ssl` describes it."""
        return self._connection.link.peer_certificate

    @property
    def max_body(self) -> int:
        """How many bytes the body may have; set it before anything is read."""
        return self._connection.group.limits.max_body if self.body is None else self.body.limit

    @max_body.setter
    def max_body(self, limit: int) -> None:
        if self.body is not None:
            self.body.restrict(limit)

    # The request's body:

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes of the body, or all that follows; fewer only at its end.

        Waits for them. Raises BodyTooLarge, BodyTimeout, ClientGone, or Refusal where the body
        is malformed.
        """
        return b"" if self.body is None else self.body.read(size)

    def read_some(self, size: int = _STEP) -> bytes:
        """Return the next bytes of the body, at most `size`, as soon as there are any."""
        return b"" if self.body is None else self.body.read_some(size)

    @property
    def stream(self) -> IO[bytes]:
        """The body as a file object."""
        if self._stream is None:
            body = self.body
            self._stream = io.BytesIO() if body is None else io.BufferedReader(BodyFile(body))
        return self._stream

    @property
    def is_gathered(self) -> bool:
        """Whether `gather` has nothing to wait for."""
        return self.body is None or self.body.is_complete or self.body.is_full

    def gather(self) -> None:
        """Wait until the body is here, or as much of it as is kept; raises nothing.

        For who wants to read it without waiting for the client.
        """
        if self.body is not None:
            self.body.gather()

    def continue_(self) -> None:
        """Send `100 Continue` if the client waits for it; reading does so by itself."""
        if self.expects_continue and not self.is_responded:
            self._connection.send_continue(self)

    # The answer:

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Give the whole answer; never blocks. A client that is gone is no error here.

        Raises InvalidHeader or InvalidAnswer, and nothing is sent.
        """
        data = self._begin(status, headers, len(body))
        if body and not self._has_no_body:
            data += body
            self.bytes_sent = len(body)
        self.is_finished = True
        self._connection.send_answer(data)

    def begin(self, status: int, headers: Headers, length: int | None = None) -> None:
        """Begin an answer whose body is given in parts, `length` bytes of it if known.

        Raises InvalidHeader or InvalidAnswer, and nothing is sent.
        """
        head = self._begin(status, headers, length)
        self._left = 0 if self._has_no_body else length
        self._is_chunked = self._left is None and self.version == "1.1"
        self._connection.send_part(head)

    def _begin(self, status: int, headers: Headers, length: int | None) -> bytes:
        if self.is_responded:
            raise InvalidAnswer(f"{self.method} {self.path} was answered before")
        version = self._head.version
        fields = fields_of(headers)
        closes = fields.closes or self._connection.must_close_after(self)
        has_no_body = status in BODYLESS or self.method == "HEAD"
        if length is not None and not has_no_body:
            framing = f"Content-Length: {length}\r\n"
        elif has_no_body:
            framing = framing_of_nothing(status, version, length, fields)
        elif version == "1.1":
            framing = CHUNKED
        else:
            framing, closes = "", True  # its end is that of the connection
        if closes:
            framing += "Connection: close\r\n"
        elif version == "1.0":
            framing += "Connection: keep-alive\r\n"
        data = encode_head(status, framing, fields)
        self.is_responded = True
        self._has_no_body = has_no_body
        self.closes = closes
        self.status = status
        return data

    def write(self, chunk: bytes) -> None:
        """Send a part of the body; waits while the client is slow.

        Raises ClientGone, and InvalidAnswer where there is more than was said.
        """
        size = len(chunk)
        if not self._count(size):
            return
        frame = b"%x\r\n%b\r\n" % (size, chunk) if self._is_chunked else chunk
        self._connection.send_part(frame)
        self._connection.wait_for_room()
        self._share(size)
        self._check_client()

    def send_file(self, file: IO[bytes], offset: int, count: int) -> None:
        """Send `count` bytes of a file, from `offset` on, in flat memory; like `write`.

        Raises InvalidAnswer, too, where the file is shorter than that.
        """
        end = offset + count
        while offset < end:
            sent = self._send_step(file.fileno(), offset, min(end - offset, FAIR_SHARE))
            if sent == 0:
                raise InvalidAnswer("the file ends before what was to be sent of it")
            offset += sent or 0

    def _send_step(self, number: int, offset: int, size: int) -> int | None:
        link = self._connection.link
        if self._is_chunked or self._has_no_body or not link.can_send_files:
            data = os.pread(number, min(size, _STEP), offset)
            self.write(data)
            return len(data)
        self._connection.wait_for_room(0)
        self._check_client()
        sent = link.send_file(number, offset, size)
        if sent:
            self._count(sent)
            self._share(sent)
        return sent

    def finish(self) -> None:
        """End an answer that was begun; never blocks.

        Raises InvalidAnswer, and cuts the connection, where it is shorter than was said.
        """
        if self.is_finished or not self.is_responded:
            raise InvalidAnswer(f"{self.method} {self.path} has no answer that goes on")
        self.is_finished = True
        if self._left and not self.is_gone:
            self.is_cut = True
            self._connection.abort()
            raise InvalidAnswer(f"{self._left} bytes of the answer are missing")
        self._connection.send_answer(LAST_CHUNK if self._is_chunked else b"")

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the answer is not whole."""
        if not self.is_finished:
            self.is_finished = self.is_responded = self.is_cut = True
            self._connection.abort()

    def _count(self, size: int) -> bool:
        """Count a part of the body; return whether it is to be sent."""
        if self.is_finished or not self.is_responded:
            raise InvalidAnswer(f"{self.method} {self.path} has no answer that goes on")
        self._check_client()
        if not size or self._has_no_body:
            return False
        if self._left is not None:
            if size > self._left:
                raise InvalidAnswer(f"the answer is longer than it was said to be, by {size} bytes")
            self._left -= size
        self.bytes_sent += size
        return True

    @property
    def is_endless(self) -> bool:
        """Whether an answer of unknown length is being given."""
        return self.is_responded and not self.is_finished and self._left is None

    def tell_gone(self) -> None:
        """Tell the application that the client has vanished; called in the hub."""
        if self.on_gone is not None and not self.is_finished:
            self.on_gone()

    def _check_client(self) -> None:
        if self.is_gone:
            raise ClientGone(f"the client of {self.method} {self.path} is gone")

    def _share(self, size: int) -> None:
        """Let others have their turn now and then, where the client takes all at once."""
        self._unshared += size
        if self._unshared > FAIR_SHARE:
            self._unshared = 0
            sleep(0)
