"""The head of an answer, as bytes."""

import re
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from rpcnode.httpd.errors import InvalidAnswer, InvalidHeader

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN, _DROPPED, _LENGTH, _CONNECTION = range(4)
_KINDS = {
    "connection": _CONNECTION,
    "content-length": _LENGTH,
    "date": _DROPPED,
    "keep-alive": _DROPPED,
    "transfer-encoding": _DROPPED,
}
BODYLESS = frozenset((204, 304))  # RFC 9110 section 6.4.1
CHUNKED = "Transfer-Encoding: chunked\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Fields:
    """The header fields of an answer: those of the application, but for what the server sets."""

    __slots__ = ("closes", "length", "text")

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self.closes = False  # whether the application wants the connection to end
        self.length: int | None = None  # what the application says
        lines = []
        for name, value in headers:
            kind = _kind_of(name)
            if kind == _PLAIN:
                lines.append(f"{name}: {value}\r\n")
            elif kind == _LENGTH:
                self.length = _length_of(value)
            elif kind == _CONNECTION:
                self.closes = "close" in value.lower()
        text = "".join(lines)
        count = len(lines)
        if text.count("\n") != count or text.count("\r") != count or "\0" in text:
            raise _split_in(headers)
        self.text = text


_known = lru_cache(maxsize=64)(Fields)


def fields_of(headers: Sequence[tuple[str, str]]) -> Fields:
    """Return the fields of an answer; those that are in a tuple are always the same."""
    return _known(headers) if type(headers) is tuple else Fields(headers)


@lru_cache(maxsize=1024)
def _kind_of(name: str) -> int:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidHeader(f"{name!r} is no name of a header")
    return _KINDS.get(name.lower(), _PLAIN)


def _length_of(value: object) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()):
        raise InvalidHeader(f"header Content-Length cannot be {text!r}")
    return int(text)


def _split_in(headers: Sequence[tuple[str, str]]) -> InvalidHeader:
    for name, value in headers:
        if any(char in str(value) for char in "\r\n\0"):
            # The value may be a secret.
            return InvalidHeader(f"the value of header {name} has CR, LF or NUL in it")
    raise AssertionError("no header has CR, LF or NUL in it")


def encode_head(status: int, framing: str, fields: Fields) -> bytes:
    """Return the head of an answer; `framing` is lines that say where it ends."""
    text = f"{_status_line(status)}{_date.line()}{framing}{fields.text}\r\n"
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as exc:
        line = text[: exc.start].count("\n")
        name = text.split("\n")[line].partition(":")[0]
        raise InvalidHeader(f"the value of header {name} has more than ISO-8859-1 in it") from None


@lru_cache(maxsize=1024)
def _status_line(status: int) -> str:
    if not 200 <= status <= 999:
        raise InvalidAnswer(f"{status!r} is no status of an answer")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {int(status)} {phrase}\r\n"


class _Date:
    """The date of all answers of a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        second = int(time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line


_date = _Date()


def framing_of_nothing(status: int, version: str, length: int | None, fields: Fields) -> str:
    """Return the lines about the body of an answer that has none.

    The answer to HEAD tells what GET would get; a 304 tells what a 200 would have, if it is known.
    """
    if status == 204:
        return ""
    if fields.length is not None:
        length = fields.length
    elif status == 304:
        return ""
    if length is not None:
        return f"Content-Length: {length}\r\n"
    return CHUNKED if version == "1.1" else ""
