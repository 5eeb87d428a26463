"""Answers in fewer bytes, for clients that understand gzip."""

import gzip
import re
from typing import Any

from rpcnode.extensions.web.reply import Reply

FEWEST = 1000  # bytes; less fits into one packet as it is
LEVEL = 6
VARY = ("Vary", "Accept-Encoding")
_TEXTUAL = re.compile(r"text/|application/(?:[\w.+-]*\+)?(?:json|xml|javascript|x-ndjson)\b")
_GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?P<q>[\d.]+)\s*)?(?:,|$)", re.IGNORECASE)


def compress(exchange: Any, reply: Reply) -> None:
    """Compress the body of an answer where that helps and the client takes it."""
    body = reply.body
    if not isinstance(body, bytes) or len(body) < FEWEST or not _is_compressible(reply):
        return
    reply.headers = [*reply.headers, VARY]
    if not accepts_gzip(exchange.headers.get("accept-encoding")):
        return
    reply.body = gzip.compress(body, LEVEL, mtime=0)
    reply.headers = [*map(_weak, reply.headers), ("Content-Encoding", "gzip")]


def accepts_gzip(accept: str | None) -> bool:
    """Return whether a client that sends this `Accept-Encoding` understands gzip."""
    found = _GZIP.search(accept) if accept else None
    return found is not None and (found["q"] is None or found["q"].strip("0.") != "")


def _is_compressible(reply: Reply) -> bool:
    names = {name.lower(): value for name, value in reply.headers}
    if "content-encoding" in names or "content-range" in names:
        return False
    return _TEXTUAL.match(names.get("content-type", "").lower()) is not None


def _weak(header: tuple[str, str]) -> tuple[str, str]:
    # These are other bytes than those that the tag was made for.
    name, value = header
    is_strong = name.lower() == "etag" and not value.startswith("W/")
    return (name, f"W/{value}") if is_strong else header
