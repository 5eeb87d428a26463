"""A request that another WSGI server, or a middleware, hands to ours."""

from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import IO, Any
from urllib.parse import quote

from werkzeug.utils import cached_property
from werkzeug.wsgi import get_input_stream

from rpcnode.concurrency import Event, Queue
from rpcnode.extensions.web.encoding import Headers
from rpcnode.extensions.web.results import NO_BODY
from rpcnode.httpd.errors import ClientGone, InvalidAnswer

CHUNK = 65_536
AHEAD = 8  # parts of an answer that wait for whoever passes them on
_SAFE_IN_PATH = "/!$&'()*+,:;=@~"  # what a path need not escape (RFC 3986)


class EnvironExchange:
    """The same as an `httpd.exchange.Exchange`, over a WSGI environment.

    Whoever made it waits for the head of the answer (`wait_head`), and takes its parts
    (`parts`), each as soon as it is there.
    """

    def __init__(self, environ: dict[str, Any], max_body: int) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        self.path = quote(path.encode("latin-1"), safe=_SAFE_IN_PATH) or "/"
        self.query_string: str = environ.get("QUERY_STRING", "")
        self.target = f"{self.path}?{self.query_string}" if self.query_string else self.path
        self.version = str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")).removeprefix("HTTP/")
        self.scheme: str = environ.get("wsgi.url_scheme", "http")
        self.headers = EnvironFields(environ)
        self.remote_addr: str = environ.get("REMOTE_ADDR", "")
        self.remote_port = _number(environ.get("REMOTE_PORT")) or 0
        port = _number(environ.get("SERVER_PORT")) or 0
        self.server_addr = (environ.get("SERVER_NAME", ""), port)
        self.content_length = self._content_length(environ)
        self.has_body = self.content_length != 0
        self.max_body = max_body
        self.is_responded = False
        self.is_gone = False
        self.is_gathered = True  # whoever made this waits for the body anyway
        self.on_gone: Callable[[], object] | None = None
        self.started = monotonic()
        self.body: bytes | None = None  # where the answer was given whole
        self._head: Event[tuple[int, list[tuple[str, str]]]] = Event()
        self._parts: Any = Queue(AHEAD)

    @staticmethod
    def _content_length(environ: Mapping[str, Any]) -> int | None:
        length = _number(environ.get("CONTENT_LENGTH"))
        if length is not None:
            return length
        # Without a length there is a body only where its end can be told.
        is_terminated = environ.get("wsgi.input_terminated", False)
        return None if is_terminated and environ.get("HTTP_TRANSFER_ENCODING") else 0

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body as a file; RequestEntityTooLarge when it is larger than allowed."""
        return get_input_stream(self.environ, max_content_length=self.max_body)

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes of the body, or all that follows; fewer only at its end."""
        return self.stream.read(size)

    def read_some(self, size: int = CHUNK) -> bytes:
        """Return the next bytes of the body, at most `size`."""
        return self.stream.read(size)

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Give the whole answer."""
        self.body = b"" if self.method == "HEAD" else body
        self.begin(status, headers, len(body))
        if self.body:
            self._parts.put(self.body)  # there is room for both: nobody waits here
        self.finish()

    def begin(self, status: int, headers: Headers, length: int | None = None) -> None:
        """Begin an answer; see `httpd.exchange.Exchange`."""
        if self.is_responded:
            raise InvalidAnswer("an answer was given already")
        self.is_responded = True
        is_told = any(name.lower() == "content-length" for name, _ in headers)
        own = []
        if length is not None and not is_told and status not in NO_BODY:
            own = [("Content-Length", str(length))]
        self._head.set((status, [*headers, *own]))

    def write(self, chunk: bytes) -> None:
        """Send a part of the body; waits while nobody takes it. Raises ClientGone."""
        if self.is_gone:
            raise ClientGone("nobody wants the answer any more")
        if self.method != "HEAD":
            self._parts.put(chunk)

    def send_file(self, file: IO[bytes], offset: int, count: int) -> None:
        """Send `count` bytes of a file from `offset`."""
        file.seek(offset)
        while count > 0:
            chunk = file.read(min(count, CHUNK))
            if not chunk:
                raise InvalidAnswer("the file ended before what was to be sent of it")
            count -= len(chunk)
            self.write(chunk)

    def finish(self) -> None:
        """End the answer."""
        self._parts.put(None)

    def abort(self) -> None:
        """Break the answer off."""
        self._head.fail(ClientGone("there is no answer"))
        if not self.is_gone:
            self._parts.put(ClientGone("the answer breaks off"))

    def wait_head(self) -> tuple[int, list[tuple[str, str]]]:
        """Wait for the answer to begin; return its status and headers."""
        self._head.wait()
        return self._head.result()

    def parts(self) -> Iterator[bytes]:
        """Yield the parts of the body; who stops before their end is a client that is gone."""
        try:
            while (part := self.next_part()) is not None:
                yield part
        finally:
            self.leave()

    def next_part(self) -> bytes | None:
        """Wait for the next part of the body; return None at its end."""
        part = self._parts.get()
        if isinstance(part, Exception):
            raise part
        return part  # type: ignore[no-any-return]  # what `write` put there

    def leave(self) -> None:
        """Tell whoever answers that nobody takes it any more."""
        self.is_gone = True
        while not self._parts.empty():  # whoever waits for room goes on, and learns it then
            self._parts.get_nowait()
        if self.on_gone is not None:
            self.on_gone()


class EnvironFields:
    """The header fields of a WSGI environment, in the words of `httpd`."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field; a repeated one is one, separated by commas."""
        key = name.upper().replace("-", "_")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            return self._environ.get(key) or default
        return self._environ.get(f"HTTP_{key}", default)

    def getlist(self, name: str) -> list[str]:
        """Return the value of a field in a list, which is empty without one."""
        value = self.get(name)
        return [] if value is None else [value]

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield names and values."""
        for key, value in self._environ.items():
            if key.startswith("HTTP_"):
                yield key[5:].replace("_", "-").title(), value
            elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                yield key.replace("_", "-").title(), value

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


def _number(value: Any) -> int | None:
    is_number = isinstance(value, str) and value.isascii() and value.isdigit()
    return int(value) if is_number or isinstance(value, int) else None
