"""The HTTP side of services as a WSGI application, for other servers than ours."""

import atexit
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rpcnode.concurrency import HubThread, native_lock
from rpcnode.config import Config, as_config
from rpcnode.extensions.web.errors import problem
from rpcnode.extensions.web.gateway import CHUNK, EnvironExchange
from rpcnode.extensions.web.server import site_of
from rpcnode.extensions.web.site import Site
from rpcnode.extensions.web.wsgi import status_line
from rpcnode.httpd.errors import Refusal
from rpcnode.runners import ServiceRunner

__all__ = ["WsgiExport"]

IN_MEMORY = 500_000  # bytes of a body; the rest of it is on disk


class WsgiExport:
    """Hosts services, and is the WSGI application that answers for them.

    They start with the first request, in a native thread of their own, so that a server may
    fork before, and stop at the end of the process or by `close`. No port is opened. Requests
    may come from any number of threads.
    """

    def __init__(self, *services: type, config: Config | Mapping[str, Any] | None = None) -> None:
        self._services = services
        self._config = Config({**as_config(config), "WEB_SERVER_ADDRESS": None})
        self._lock = native_lock()
        self._hosting: _Hosting | None = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        """Answer a request, as PEP 3333 has it."""
        hosting = self._start()
        try:
            environ["wsgi.input"] = _spooled(environ, hosting.site.largest_body)
        except Refusal as exc:
            reply = problem(exc.status, exc.detail, [], environ.get("HTTP_ACCEPT"))
            start_response(status_line(reply.status), reply.headers)
            return iter([reply.body] if isinstance(reply.body, bytes) else [])
        exchange, status, headers = hosting.call(hosting.begin, environ)
        start_response(status_line(status), headers)
        return _parts(hosting, exchange)

    def close(self) -> None:
        """Stop the services in good order; a later request starts them again."""
        with self._lock:
            hosting, self._hosting = self._hosting, None
        if hosting is not None:
            atexit.unregister(self.close)
            hosting.close()

    def _start(self) -> "_Hosting":
        with self._lock:
            if self._hosting is None:
                self._hosting = _Hosting(self._config, self._services)
                atexit.register(self.close)
            return self._hosting


class _Hosting:
    """Services that run in a native thread; `call` runs a function there."""

    def __init__(self, config: Config, services: tuple[type, ...]) -> None:
        self._thread = HubThread()
        self.call = self._thread.bridge.call
        self._runner: ServiceRunner
        self.site: Site
        try:
            self.call(self._host, config, services)
        except BaseException:
            self._thread.close()
            raise

    def _host(self, config: Config, services: tuple[type, ...]) -> None:
        self._runner = ServiceRunner(config)
        for service_cls in services:
            self._runner.add_service(service_cls)
        self._runner.start()
        try:
            self.site = site_of(self._runner.containers)
        except BaseException:
            self._runner.stop()
            raise

    def begin(self, environ: dict[str, Any]) -> tuple[EnvironExchange, int, list[tuple[str, str]]]:
        """Let the services answer; return when the answer begins."""
        exchange = EnvironExchange(environ, self.site.settings.max_body)
        self.site.receive(exchange)
        return exchange, *exchange.wait_head()

    def close(self) -> None:
        """Stop the services, then their thread."""
        self.call(self._runner.stop)
        self._thread.close()


def _parts(hosting: _Hosting, exchange: EnvironExchange) -> Iterator[bytes]:
    if exchange.body is not None:
        yield exchange.body
        return
    try:
        while (part := hosting.call(exchange.next_part)) is not None:
            yield part
    finally:
        hosting.call(exchange.leave)


def _spooled(environ: Mapping[str, Any], limit: int) -> Any:
    """Return the body, read to its end here, where waiting for it stops nobody else."""
    body = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed with the request)
    length = environ.get("CONTENT_LENGTH")
    left = int(length) if length else None
    if left is None and not environ.get("wsgi.input_terminated"):
        return body
    size = 0
    while left is None or size < left:
        chunk = environ["wsgi.input"].read(CHUNK if left is None else min(CHUNK, left - size))
        if not chunk:
            break
        size += len(chunk)
        if size > limit:
            body.close()
            raise Refusal(f"the body is larger than {limit} bytes", 413)
        body.write(chunk)
    body.seek(0)
    return body
