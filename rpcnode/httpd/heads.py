"""The head of a request: what httptools lets pass is looked at here."""

import re
from functools import lru_cache

from rpcnode.httpd.errors import Refusal

_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
_SPECIAL = frozenset((b"content-length", b"expect", b"host", b"transfer-encoding"))
_VERSIONS = ("1.1", "1.0")

Field = tuple[bytes, bytes]


class Head:
    """The head of a request that has the right form."""

    __slots__ = (
        *("content_length", "expects_continue", "fields", "has_body", "keeps_alive"),
        *("method", "path", "query_string", "target", "version"),
    )

    content_length: int | None  # None where the body is chunked
    expects_continue: bool
    fields: list[Field]
    has_body: bool
    keeps_alive: bool
    method: str
    path: str
    query_string: str
    target: str
    version: str

    def __init__(self, method: bytes, target: bytes, version: str, fields: list[Field]) -> None:
        if version not in _VERSIONS:
            raise Refusal(f"HTTP/{version} is not spoken here", 505)
        self.method = method.decode("ascii")
        self.version = version
        self.fields = fields
        self.content_length = 0
        self.has_body = self.expects_continue = False
        host = self._look_at_fields()
        self.target = text = target.decode("ascii")
        if "#" in text:
            raise Refusal("the target has a fragment")
        if not text.startswith("/"):
            text = self._relative(text, host)
        self.path, _, self.query_string = text.partition("?")

    def _look_at_fields(self) -> bytes | None:
        """Take what says how long the body is; return the Host."""
        host = None
        for name, value in self.fields:
            key = name.lower()
            if key not in _SPECIAL:
                continue
            if key == b"host":
                if host is not None:
                    raise Refusal("there is more than one Host")
                host = value.rstrip(b" \t")
                if not is_host(host):
                    raise Refusal("the Host is no name of a host")
            elif key == b"content-length":
                self.content_length = int(value)  # digits: httptools has looked
                self.has_body = self.content_length > 0
            elif key == b"transfer-encoding":
                self._take_encoding(value)
            else:
                self._take_expectation(value)
        if host is None and self.version == "1.1":
            raise Refusal("there is no Host")
        return host

    @property
    def closes(self) -> bool:
        """Whether the client says `close`, which counts whatever else it says.

        With HTTP/1.1 llhttp knows; with 1.0 it has `keep-alive` count (RFC 9112 section 9.3).
        """
        values = b",".join(value for name, value in self.fields if name.lower() == b"connection")
        return b"close" in {token.strip(b" \t") for token in values.lower().split(b",")}

    def _take_encoding(self, value: bytes) -> None:
        if self.version == "1.0":
            raise Refusal("HTTP/1.0 knows no Transfer-Encoding")
        coding = value.strip(b" \t").lower()
        if coding != b"chunked":
            raise Refusal("no Transfer-Encoding but chunked is known", 501 if coding else 400)
        self.content_length = None
        self.has_body = True

    def _take_expectation(self, value: bytes) -> None:
        if value.strip(b" \t").lower() != b"100-continue":
            raise Refusal("no expectation but 100-continue can be met", 417)
        self.expects_continue = self.version == "1.1"

    def _relative(self, target: str, host: bytes | None) -> str:
        if target == "*" and self.method == "OPTIONS":
            return target
        found = _ABSOLUTE.fullmatch(target)
        if self.method == "CONNECT":
            raise Refusal("this is no proxy", 501)
        if found is None or not found[1] or not is_host(found[1].encode("ascii")):
            raise Refusal("the target is no path")
        # RFC 9112 section 3.2.2: the target's host counts, whatever the Host says.
        if host is not None:
            self.fields = [field for field in self.fields if field[0].lower() != b"host"]
        self.fields.insert(0, (b"Host", found[1].encode("ascii")))
        rest = found[2]
        return rest if rest.startswith("/") else f"/{rest}"


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """Return whether this can be the host, and port, of a URI (RFC 3986 section 3.2)."""
    return _HOST.fullmatch(value) is not None
