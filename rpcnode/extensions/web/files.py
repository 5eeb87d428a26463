"""Files as answers: tags, conditions, ranges, in flat memory."""

import mimetypes
import os
import stat
from email.utils import formatdate
from pathlib import Path
from typing import IO, Any

from werkzeug.exceptions import NotFound
from werkzeug.http import dump_options_header, parse_etags, parse_range_header
from werkzeug.sansio.http import is_resource_modified

from rpcnode.extensions.web.encoding import Headers
from rpcnode.extensions.web.errors import problem
from rpcnode.extensions.web.reply import FilePart, Reply

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not hold up the process
_TYPES_OF_ENCODINGS = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/octet-stream",
    "compress": "application/octet-stream",
}


class File:
    """A file to return from a method; ranges and conditions of the request are honoured.

    `name` makes it a download under that name; `content_type` is guessed from the path if not
    given; clients and proxies may keep it for `max_age` seconds. Raises NotFound (404) where
    there is no such file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        content_type: str | None = None,
        max_age: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.name = name
        self.content_type = content_type or _guess_type(self.path.name)
        self.max_age = max_age

    def reply_to(self, exchange: Any) -> Reply:
        """Return the answer to a request for this file."""
        file, facts = open_file(self.path)
        try:
            reply = self._reply(exchange, file, facts)
        except BaseException:
            file.close()
            raise
        if not reply.is_streamed:
            file.close()
        return reply

    def _reply(self, exchange: Any, file: IO[bytes], facts: os.stat_result) -> Reply:
        tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        headers = self._headers(tag, facts.st_mtime)
        asked = _Conditions(exchange)
        if not asked.is_for(tag):
            return problem(412)
        if not asked.is_modified(tag, facts.st_mtime):
            return Reply(304, headers)
        span = asked.span(tag, facts.st_mtime, facts.st_size)
        if span is None:
            return Reply(200, headers, FilePart(file, 0, facts.st_size))
        begin, end = span
        if begin >= end:
            return problem(416, None, [("Content-Range", f"bytes */{facts.st_size}")])
        part = ("Content-Range", f"bytes {begin}-{end - 1}/{facts.st_size}")
        return Reply(206, [*headers, part], FilePart(file, begin, end - begin))

    def _headers(self, tag: str, modified: float) -> Headers:
        headers = [
            ("Content-Type", self.content_type),
            ("ETag", tag),
            ("Last-Modified", formatdate(modified, usegmt=True)),
            ("Accept-Ranges", "bytes"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if self.name is not None:
            value = dump_options_header("attachment", {"filename": self.name})
            headers.append(("Content-Disposition", value))
        if self.max_age is not None:
            headers.append(("Cache-Control", f"public, max-age={self.max_age}"))
        return headers


class _Conditions:
    """What a request makes its answer depend on (RFC 9110, sections 13 and 14)."""

    def __init__(self, exchange: Any) -> None:
        self._headers = exchange.headers
        self._is_get = exchange.method == "GET"

    def is_for(self, tag: str) -> bool:
        """Return whether the client wants this version, where it wants a certain one."""
        wanted = self._headers.get("if-match")
        return wanted is None or tag.strip('"') in parse_etags(wanted)

    def is_modified(self, tag: str, modified: float) -> bool:
        """Return whether the client lacks this version."""
        return is_resource_modified(
            http_if_modified_since=self._headers.get("if-modified-since"),
            http_if_none_match=self._headers.get("if-none-match"),
            etag=tag,
            last_modified=formatdate(modified, usegmt=True),
        )

    def span(self, tag: str, modified: float, size: int) -> tuple[int, int] | None:
        """Return begin and end of the part that is asked for; None means all of it.

        An end that is not above its begin means that there is no such part. Of several parts
        at once all is sent, which a server may do.
        """
        wanted = self._headers.get("range")
        if not wanted or not self._is_get or not self._is_same(tag, modified):
            return None
        parsed = parse_range_header(wanted)
        if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
            return None
        begin, end = parsed.ranges[0]
        if end is None:
            return (begin if begin >= 0 else max(0, size + begin)), size
        return begin, min(end, size)

    def _is_same(self, tag: str, modified: float) -> bool:
        known = self._headers.get("if-range")
        return known is None or known in (tag, formatdate(modified, usegmt=True))


def open_file(path: Path) -> tuple[IO[bytes], os.stat_result]:
    """Open a regular file; raise NotFound for anything else."""
    try:
        descriptor = os.open(path, _OPEN)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in its name
        raise NotFound from exc
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise NotFound
    return os.fdopen(descriptor, "rb"), facts


def _guess_type(name: str) -> str:
    kind, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return _TYPES_OF_ENCODINGS.get(encoding, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    is_text = kind.startswith("text/") or kind in ("application/javascript", "application/json")
    return f"{kind}; charset=utf-8" if is_text else kind
