"""A container's part in the HTTP side of its process."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from werkzeug.routing import Map
from werkzeug.wrappers import Request

from rpcnode.concurrency import Timeout, spawn
from rpcnode.exceptions import RpcNodeError
from rpcnode.extensions.base import ProviderCollector, SharedExtension
from rpcnode.extensions.web.context import ContextHeaders
from rpcnode.extensions.web.cors import cors_from
from rpcnode.extensions.web.errors import STOPPING, busy, problem
from rpcnode.extensions.web.gateway import EnvironExchange
from rpcnode.extensions.web.reply import Stream
from rpcnode.extensions.web.requests import HttpRequest
from rpcnode.extensions.web.routing import Mount, Route
from rpcnode.extensions.web.site import Site
from rpcnode.extensions.web.wsgi import WsgiApplication, chunks_of, run_application
from rpcnode.httpd.address import BindAddress, parse_address
from rpcnode.httpd.settings import ServerSettings
from rpcnode.httpd.tls import make_server_context
from rpcnode.lanes import Lane
from rpcnode.sizes import parse_size

GATHER_TIME = 60.0  # seconds for the body of a request that no route limits


class WebServer(ProviderCollector, SharedExtension):
    """The HTTP side of a container; the runner's containers share one socket.

    `get_wsgi_app` and `context_data_from_headers` may be overridden. `streams` is the lane of
    what sends its answer piece by piece; in `endless` are those that a stop ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.site: Site | None = None  # there once it is set up
        self.endless: set[Stream] = set()
        self.is_retiring = False
        self._mounts: list[Mount] = []
        self._is_open = False

    @property
    def bind_addr(self) -> BindAddress:
        """Where WEB_SERVER_ADDRESS says that it listens."""
        return parse_address(self.container.config["WEB_SERVER_ADDRESS"])

    @property
    def is_wrapped(self) -> bool:
        """Whether all requests go through a WSGI application."""
        return type(self).get_wsgi_app is not WebServer.get_wsgi_app

    def setup(self) -> None:
        """Join the site of the process; ConfigurationError for what cannot work."""
        config = self.container.config
        self.queue_limit: int = config["HTTP_QUEUE_LIMIT"]
        self.max_body = parse_size(config["HTTP_MAX_BODY"]) or 0
        self.streams = self._lane("streams", config["MAX_STREAMS"])
        # Who waits here for a worker holds none.
        self._aside = self._lane("http", self.queue_limit + self.container.max_workers)
        self._context_headers = ContextHeaders(config["HTTP_CONTEXT_HEADERS"])
        self._has_context = bool(self._context_headers)
        own = WebServer.context_data_from_headers
        self._reads_context = type(self).context_data_from_headers is not own
        self._resource = ("http", config["WEB_SERVER_ADDRESS"])
        site: Site = self.container.resources.acquire(self._resource, self._make_site)
        site.join(self)
        self.site = site

    def _make_site(self) -> Site:
        config = self.container.config
        address = None if config["WEB_SERVER_ADDRESS"] is None else self.bind_addr
        return Site(
            address,
            settings_from(config),
            cors=cors_from(config["HTTP_CORS"]),
            has_health=config["HTTP_HEALTH"],
            has_access_log=config["HTTP_ACCESS_LOG"],
        )

    def _lane(self, name: str, max_workers: int) -> Lane:
        lane = Lane(f"{self.container.service_name}.{name}", max_workers)
        self.container.lanes.append(lane)
        return lane

    def register_mount(self, mount: Mount) -> None:
        """Let a target answer all below a prefix."""
        self._mounts.append(mount)

    def open(self) -> None:
        """Answer requests; later calls do nothing."""
        if self._is_open:
            return
        self._is_open = True
        if self.is_wrapped:
            self._wsgi_app = self.get_wsgi_app()
        assert self.site is not None  # setup comes first
        self.site.open(self)

    def open_for_mounts(self) -> None:
        """Answer requests now if no handler is going to open this, which comes later."""
        if not self._providers:
            self.open()

    def retire(self) -> None:
        """Close the socket, and wait until what was accepted is answered."""
        self.is_retiring = True
        for stream in tuple(self.endless):
            stream.end()
        if self.site is not None:
            self.site.retire(self, self.container.config["SHUTDOWN_TIMEOUT"])

    def stop(self) -> None:
        """Let go of the socket."""
        super().stop()
        self._leave()

    def kill(self) -> None:
        """Let go of the socket at once."""
        self._leave()

    def _leave(self) -> None:
        site, self.site = self.site, None
        if site is not None:
            site.leave(self)
            self.container.resources.release(self._resource)

    def make_url_map(self) -> Map:
        """Return the rules of the handlers; the endpoint of each is the handler."""
        rules = []
        for handler in sorted(self._providers, key=repr):
            rule = handler.get_url_rule()
            rule.endpoint = handler
            rules.append(rule)
        return Map(rules)

    def routes(self) -> Iterable[Route]:
        """Return what is answered here."""
        return [Route(rule, rule.endpoint) for rule in self.make_url_map().iter_rules()]

    def mounts(self) -> Iterable[Mount]:
        """Return the prefixes that are answered here."""
        return self._mounts

    def problems(self) -> list[str]:
        """Return what keeps the container from working."""
        return list(self.container.problems())

    def get_wsgi_app(self) -> WsgiApplication:
        """Return the WSGI application that answers all requests; override it to wrap it."""
        return WsgiApp(self)

    def pass_through(self, exchange: Any) -> None:
        """Let that application answer a request."""
        self.run_aside(exchange, lambda: run_application(self._wsgi_app, exchange))

    def run_aside(self, exchange: Any, answer: Callable[[], object]) -> None:
        """Let `answer` answer a request, in a green thread that is no worker but may want one."""
        lane = self._aside
        if len(lane.threads) >= lane.max_workers:
            busy("too many requests wait", exchange.headers.get("accept")).send(exchange)
            return
        drop = partial(say_stopping, exchange)
        submit = partial(lane.submit, partial(settle, exchange, answer), drop)
        self.when_gathered(exchange, exchange.started + GATHER_TIME, submit)

    def when_gathered(
        self, exchange: Any, deadline: float | None, go_on: Callable[[], object]
    ) -> None:
        """Call `go_on` when the body is here, or as much of it as is kept.

        So a slow client holds no worker. Without it at the deadline, the answer is 408.
        """
        if exchange.is_gathered:
            go_on()
        else:
            spawn(self._gather, exchange, deadline, go_on)

    def _gather(self, exchange: Any, deadline: float | None, go_on: Callable[[], object]) -> None:
        with Timeout(None if deadline is None else deadline - monotonic(), False):
            exchange.gather()
            go_on()
            return
        text = "the body did not arrive in time"
        problem(408, text, [], exchange.headers.get("accept")).send(exchange)

    def context_data_from_headers(self, request: Request) -> dict[str, Any]:
        """Return the context data of a request; override it for more than HTTP_CONTEXT_HEADERS."""
        return self._context_headers.read(request.headers)

    def context_of(self, request: HttpRequest) -> Mapping[str, Any] | None:
        """Return the same, at less cost where there is nothing to do."""
        if self._reads_context:
            return self.context_data_from_headers(request)
        return self._context_headers.read(request.exchange.headers) if self._has_context else None


class WsgiApp:
    """The HTTP side of a container's process as a WSGI application."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.url_map = server.make_url_map()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request, as PEP 3333 has it."""
        exchange = EnvironExchange(environ, self.server.max_body)
        if self.server.site is None:
            say_stopping(exchange)
        else:
            self.server.site.dispatch(exchange)
        return chunks_of(exchange, start_response)


def settle(exchange: Any, answer: Callable[..., object], *args: Any) -> None:
    """Call `answer`; whatever happens, the client gets an answer, if only 500."""
    is_done = False
    try:
        answer(*args)
        is_done = True
    finally:
        if not exchange.is_responded:
            problem(500, None, [], exchange.headers.get("accept")).send(exchange)
        elif not is_done:
            exchange.abort()


def say_stopping(exchange: Any) -> None:
    """Tell the client of a request that was not begun that the service stops."""
    busy(STOPPING, exchange.headers.get("accept")).send(exchange)


def site_of(containers: Sequence[Any]) -> Site:
    """Return where containers that were started answer HTTP.

    Raises RpcNodeError when none of them does, and when they do so at several places.
    """
    servers = [
        extension
        for container in containers
        for extension in container.subextensions
        if isinstance(extension, WebServer) and extension.site is not None
    ]
    names = ", ".join(container.service_name for container in containers) or "no service"
    sites = {server.site for server in servers if server.site is not None}
    if not sites:
        raise RpcNodeError(f"{names}: nothing here answers HTTP, or it was not started")
    if len(sites) > 1:
        raise RpcNodeError(f"{names}: they answer HTTP at several places, not at one")
    return sites.pop()


def settings_from(config: Mapping[str, Any]) -> ServerSettings:
    """Return the limits that the configuration sets."""
    return ServerSettings(
        max_body=parse_size(config["HTTP_MAX_BODY"]) or 0,
        max_head=parse_size(config["HTTP_MAX_HEAD"]) or 0,
        header_timeout=config["HTTP_HEADER_TIMEOUT"],
        body_timeout=config["HTTP_BODY_TIMEOUT"],
        body_rate=config["HTTP_BODY_RATE"],
        write_timeout=config["HTTP_WRITE_TIMEOUT"],
        keep_alive=config["HTTP_KEEP_ALIVE"],
        max_connections=config["HTTP_MAX_CONNECTIONS"],
        tls=None if config["WEB_SSL"] is None else make_server_context(config["WEB_SSL"]),
    )
