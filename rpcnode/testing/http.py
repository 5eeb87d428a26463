"""A client for services under test: in the same process, without a port, through the same code."""

import http.client
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from http.cookies import SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import quote

from werkzeug.test import EnvironBuilder

from rpcnode.containers import ServiceContainer
from rpcnode.exceptions import RpcNodeError
from rpcnode.extensions.web.server import site_of
from rpcnode.httpd.memory import MemoryConnection
from rpcnode.runners import ServiceRunner

Host: TypeAlias = ServiceContainer | ServiceRunner

HOST = "localhost"
SAFE_IN_PATH = "/%!$&'()*+,:;=@~"
ERRORS_BEGIN = 400


class HttpStatusError(RpcNodeError):
    """Raised by `HttpResponse.raise_for_status` when the status is 400 or above."""


class HttpResponse:
    """An answer, with the names that users of `requests` know."""

    def __init__(self, method: str, connection: MemoryConnection, timeout: float) -> None:
        self._wire = _Wire(connection, timeout)
        self._response = http.client.HTTPResponse(self._wire, method=method)  # type: ignore[arg-type]  # what it uses of a socket
        self._response.begin()
        self.status_code = self._response.status
        self.reason = self._response.reason
        self.headers = self._response.headers
        self._content: bytes | None = None

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status_code}>"

    @property
    def content(self) -> bytes:
        """The whole body; waits for its end."""
        if self._content is None:
            self._content = self._response.read()
        return self._content

    @property
    def text(self) -> str:
        """The whole body as text."""
        return self.content.decode(self.headers.get_content_charset("utf-8"))

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < ERRORS_BEGIN

    def json(self) -> Any:
        """Return what the body says in JSON."""
        return json.loads(self.content)

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the body, each as soon as it is there."""
        for line in self._response:
            yield line.decode().rstrip("\r\n")

    def iter_content(self, chunk_size: int = 65_536) -> Iterator[bytes]:
        """Yield the body in chunks, each as soon as there is something."""
        while chunk := self._response.read1(chunk_size):
            yield chunk

    def raise_for_status(self) -> None:
        """Raise HttpStatusError when the status is 400 or above."""
        if not self.ok:
            raise HttpStatusError(f"{self.status_code} {self.reason}: {self.text[:200]}")

    def close(self) -> None:
        """Go away, whether the answer is complete or not."""
        self._wire.connection.vanish()


class HttpClient:
    """Sends requests to the services of a container, a runner, or a list of these.

    They must have been started by the time of a request. Cookies are kept until one is deleted, by
    a `Max-Age` of 0; redirects are not followed. `headers` are sent with every request.
    """

    def __init__(
        self,
        host: Host | Sequence[Host],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10,
    ) -> None:
        self._host = host
        self.headers = dict(headers or {})
        self.cookies: dict[str, str] = {}
        self.timeout = timeout

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Any = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        timeout: float | None = None,
        **body: Any,
    ) -> HttpResponse:
        """Send a request, and return its answer; with `stream`, as soon as that begins.

        `body` is one of `json`, `data` (bytes, text, or a form, whose values may be files) and
        `files`. Raises TimeoutError when nothing comes for `timeout` seconds.
        """
        site = site_of(_containers(self._host))
        request = _encode(
            method, url, params, {**self.headers, **(headers or {})}, self.cookies, body
        )
        connection = MemoryConnection(site.application, site.settings)
        connection.feed(request)
        response = HttpResponse(method, connection, self.timeout if timeout is None else timeout)
        for value in response.headers.get_all("Set-Cookie", []):
            self._take_cookies(SimpleCookie(value))
        if not stream:
            _ = response.content
        return response

    def _take_cookies(self, cookies: SimpleCookie) -> None:
        for name, morsel in cookies.items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value

    def get(self, url: str, **options: Any) -> HttpResponse:
        """Send GET; see `request`."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> HttpResponse:
        """Send HEAD; see `request`."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> HttpResponse:
        """Send OPTIONS; see `request`."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, data: Any = None, **options: Any) -> HttpResponse:
        """Send POST; see `request`."""
        return self.request("POST", url, data=data, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> HttpResponse:
        """Send PUT; see `request`."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> HttpResponse:
        """Send PATCH; see `request`."""
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> HttpResponse:
        """Send DELETE; see `request`."""
        return self.request("DELETE", url, **options)


def _containers(host: Host | Sequence[Host]) -> list[ServiceContainer]:
    hosts = list(host) if isinstance(host, Sequence) else [host]
    found = [each.containers if isinstance(each, ServiceRunner) else [each] for each in hosts]
    return [container for containers in found for container in containers]


class _Wire(io.RawIOBase):
    """What the server sends, as a file that `http.client` reads."""

    def __init__(self, connection: MemoryConnection, timeout: float) -> None:
        super().__init__()
        self.connection = connection
        self._timeout = timeout
        self._left = b""

    def makefile(self, *_args: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = self.connection.wait(self._timeout)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _encode(
    method: str,
    url: str,
    params: Any,
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
    body: Mapping[str, Any],
) -> bytes:
    options = {name: value for name, value in body.items() if value is not None}
    if "files" in options:
        options["data"] = {**dict(options.get("data") or {}), **options.pop("files")}
    path, _, query = url.partition("?")
    path = quote(path, safe=SAFE_IN_PATH)
    builder = EnvironBuilder(path="/", method=method, headers=list(headers.items()), **options)
    if params is not None:
        builder.args.update(params)
        query = "&".join(filter(None, (query, builder.query_string)))
    environ = builder.get_environ()
    fields = [("Host", HOST), *builder.headers.items()]
    if cookies:
        fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    data: bytes = environ["wsgi.input"].read()
    if data or method in ("POST", "PUT", "PATCH"):
        fields.append(("Content-Length", str(len(data))))
    if environ.get("CONTENT_TYPE"):
        fields.append(("Content-Type", environ["CONTENT_TYPE"]))
    builder.close()
    return _head(method, f"{path}?{query}" if query else path, fields) + data


def _head(method: str, target: str, fields: list[tuple[str, str]]) -> bytes:
    by_name = {name.lower(): f"{name}: {value}" for name, value in fields}
    return "\r\n".join([f"{method} {target} HTTP/1.1", *by_name.values(), "", ""]).encode("latin-1")
