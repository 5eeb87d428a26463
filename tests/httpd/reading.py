"""What h11 reads of a client's bytes, and what we do; and where we are stricter on purpose."""

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import h11

from rpcnode.concurrency import sleep
from rpcnode.httpd.application import Application
from rpcnode.httpd.errors import Refusal
from rpcnode.httpd.memory import MemoryConnection

METHODS = frozenset(
    b"ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL"
    b" MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH"
    b" SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE".split()
)
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
BARE_LF = re.compile(rb"(?<!\r)\n")
HEAD_END = re.compile(rb"\n\r?\n")
FOLD = re.compile(rb"\r\n[ \t]")
HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d{0,5})?", re.ASCII
)
TAB_BEHIND_CODING = re.compile(rb"(?i)\ntransfer-encoding:[^\r\n]*chunked[ \t]*\t")
TWO_LENGTHS = re.compile(rb"(?is)\ncontent-length:([^\n]*,|.*\ncontent-length:)")
SPACES = re.compile(rb"\A([^\s]+) +([^\s]+) +(?=HTTP/)")
ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]+)(?:[/?].*)?")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(;\w+(=(\w+|\"[\w ]*\"))?)*\r\n", re.ASCII)
TRAILER = re.compile(rb"([\w!#$%&'*+.^`|~-]+):[^\x00-\x08\x0a-\x1f\x7f]*\r\n", re.ASCII)


class Request(NamedTuple):
    """A request as somebody has read it; the names of fields are in lower case."""

    method: bytes
    target: bytes
    version: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass
class Reading:
    """What was read of a connection: whole requests, and where it stopped.

    `raw` are the bytes of each request, `begun` is the request that has a head, but no end.
    """

    requests: list[Request] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    begun: Request | None = None
    is_refused: bool = False


def read_by_h11(data: bytes) -> Reading:
    """Return what h11 reads, three differences that are ours taken into account.

    It refuses empty lines before a request, which RFC 9112 section 2.2 wants ignored; more than
    one space on either side of the target, which section 3 allows to take for one; and it never
    goes on after a request of HTTP/1.0, not where the client wants it either (section 9.3).
    """
    reading = Reading()
    goes_on = True
    while goes_on and data:
        data = SPACES.sub(rb"\1 \2 ", data.lstrip(b"\r\n"), count=1)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        connection.receive_data(data)
        try:
            goes_on = _read_one(connection, reading)
        except h11.RemoteProtocolError:
            reading.is_refused = True
            break
        left = connection.trailing_data[0]
        if goes_on or not reading.begun:
            reading.raw.append(data[: len(data) - len(left)])
        data = left
    reading.raw = reading.raw[: len(reading.requests)]
    return reading


def _read_one(connection: h11.Connection, reading: Reading) -> bool:
    """Read one request; return whether another one may follow."""
    head = connection.next_event()
    if not isinstance(head, h11.Request):
        return False
    fields = tuple((bytes(name), bytes(value)) for name, value in head.headers)
    request = Request(head.method, head.target, head.http_version, fields, b"")
    reading.begun = request
    parts = []
    while isinstance(event := connection.next_event(), h11.Data):
        parts.append(bytes(event.data))
    if not isinstance(event, h11.EndOfMessage):
        return False
    reading.begun = None
    reading.requests.append(request._replace(body=b"".join(parts)))
    return _keeps_alive(request)


def _keeps_alive(request: Request) -> bool:
    values = [value for name, value in request.fields if name == b"connection"]
    tokens = {token.strip().lower() for token in b",".join(values).split(b",")}
    if b"close" in tokens:
        return False
    return request.version != b"1.0" or b"keep-alive" in tokens


class Ours:
    """What reaches an application, and how the server ends.

    The application reads each body, unless it is told not to.
    """

    def __init__(self, *, reads: bool = True) -> None:
        self.requests: list[Request] = []
        self.refusals: list[int] = []
        self.answers = 0
        self.connection = MemoryConnection(Application(self._on_request, self._on_error))
        self._reads = reads
        self._waiting: list = []

    def feed(self, parts: Iterable[bytes]) -> "Ours":
        """Take the bytes as they arrive, then the end; settle all requests."""
        for part in parts:
            self.connection.feed(part)
        self.connection.feed_eof()
        while self._waiting:
            self._settle(self._waiting.pop())
            sleep(0)  # the next one comes from the hub
            sleep(0)
        sent = self.connection.take()
        self.answers = sent.count(b"HTTP/1.1 ") - sent.count(b"HTTP/1.1 100 ")
        return self

    @property
    def is_settled(self) -> bool:
        """Whether each request has its one answer, and nothing is left of the connection."""
        group = self.connection.group
        is_gone = self.connection.is_closed and not group.connections
        is_done = not group.requests_running and not self._waiting
        return is_gone and is_done and self.answers == len(self.requests) + len(self.refusals)

    def _on_request(self, exchange) -> None:
        if exchange.body is None or not self._reads:
            self._note(exchange, b"")
            exchange.respond(200, [])
        else:
            self._waiting.append(exchange)

    def _on_error(self, refusal: Refusal):
        self.refusals.append(refusal.status)
        return refusal.status, [], b""

    def _settle(self, exchange) -> None:
        try:
            body = exchange.read()
        except Refusal as refusal:
            self.refusals.append(refusal.status)
            exchange.respond(refusal.status, [])
        else:
            self._note(exchange, body)
            exchange.respond(200, [])

    def _note(self, exchange, body: bytes) -> None:
        fields = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in exchange.headers.items()
        )
        head = (exchange.method.encode(), exchange.target.encode(), exchange.version.encode())
        self.requests.append(Request(*head, fields, body))


def cut(data: bytes, offsets: Iterable[int]) -> list[bytes]:
    """Return the bytes in parts."""
    return [data[begin:end] for begin, end in itertools.pairwise([0, *offsets, len(data)])]


def comparable(request: Request) -> Request:
    """Return the request without what is allowed to differ.

    h11 gives a coding in lower case. And for us the host of a target counts, where it has one
    (RFC 9112 section 3.2.2).
    """
    fields = [
        (name, value.lower() if name == b"transfer-encoding" else value)
        for name, value in request.fields
    ]
    if not request.target.startswith((b"/", b"*")):
        fields = [each for each in fields if each[0] != b"host"]
    return request._replace(fields=tuple(fields))


def _values(request: Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.fields if key == name]


def _head_of(raw: bytes) -> bytes:
    end = HEAD_END.search(raw)
    return raw[: end.end()] if end else raw


def _has_form(method: bytes, target: bytes) -> bool:
    if b"#" in target:
        return False
    if target.startswith(b"/") or (method, target) == (b"OPTIONS", b"*"):
        return True
    found = ABSOLUTE.fullmatch(target)
    return bool(found and HOST.fullmatch(found[1]))


def _has_wrong_chunks(request: Request, raw: bytes) -> bool:
    """Return whether chunks are not to the letter of RFC 9112 section 7.1, or trailers harm."""
    if not _values(request, b"transfer-encoding"):
        return False
    rest = raw.partition(b"\r\n\r\n")[2]
    size = None
    while size != 0:
        found = CHUNK.match(rest)
        if found is None:
            return True
        size = int(found[1], 16)
        rest = rest[found.end() :]
        if size:
            rest = rest[size + 2 :]
    while not rest.startswith(b"\r\n"):
        found = TRAILER.match(rest)
        if found is None or found[1].lower() in (b"content-length", b"transfer-encoding"):
            return True
        rest = rest[found.end() :]
    return False


# Each deliberate difference: what h11 takes and we refuse.
STRICTER: dict[str, Callable[[Request, bytes], object]] = {
    # RFC 9112 section 2.2 allows to take LF for the end of a line. Two servers in a row that
    # do not agree on that see different requests.
    "a bare LF": lambda request, raw: BARE_LF.search(_head_of(raw)),
    # Section 5.2 lets a server choose between 400 and a space.
    "a value on two lines": lambda request, raw: FOLD.search(_head_of(raw)),
    # RFC 9110 section 5.5: only CR, LF and NUL must be refused; the rest serves nobody.
    "a control character": lambda request, raw: CONTROL.search(_head_of(raw)),
    # RFC 9112 section 6.3, rule 5, allows the same length twice, or 400.
    "a length twice": lambda request, raw: TWO_LENGTHS.search(_head_of(raw)),
    # Section 6.1: that "ought to be handled as an error", as it may be smuggling.
    "length and chunks": lambda request, raw: (
        _values(request, b"content-length") and _values(request, b"transfer-encoding")
    ),
    # Section 6.1: it must be taken for faulty framing.
    "chunks in HTTP/1.0": lambda request, raw: (
        request.version == b"1.0" and _values(request, b"transfer-encoding")
    ),
    # RFC 9110 section 2.5: 505 for what is not 1.0 or 1.1.
    "another version": lambda request, raw: request.version not in (b"1.0", b"1.1"),
    # Section 9.1: 501 for a method that nobody can route.
    "an unknown method": lambda request, raw: request.method not in METHODS,
    # RFC 9112 section 3.2: one of four forms; the one of CONNECT is for proxies.
    "a target of no form": lambda request, raw: not _has_form(request.method, request.target),
    # Section 3.2: 400 for a Host that cannot be one.
    "no name of a host": lambda request, raw: (
        not all(map(HOST.fullmatch, _values(request, b"host")))
    ),
    # RFC 9110 section 10.1.1: 417 for what cannot be met.
    "an expectation": lambda request, raw: (
        set(map(bytes.lower, _values(request, b"expect"))) - {b"100-continue"}
    ),
    # RFC 9112 section 7.1: h11 takes anything for an extension, spaces after a size, and bare LF
    # among trailers. Section 6.5.1 of RFC 9110: no framing among trailers.
    "chunks that are not to the letter": _has_wrong_chunks,
}


# What is too seldom to be found among a hundred thousand requests for sure.
STRICTER_SELDOM: dict[str, Callable[[Request, bytes], object]] = {
    # RFC 9112 section 5 allows it; the parser takes spaces there, and 400 is safe.
    "a tab behind the coding": lambda request, raw: TAB_BEHIND_CODING.search(_head_of(raw)),
}


def why_refused(request: Request, raw: bytes) -> list[str]:
    """Return the deliberate differences that explain why we refuse what h11 takes."""
    differences = {**STRICTER, **STRICTER_SELDOM}
    return [name for name, is_so in differences.items() if is_so(request, raw)]
