"""What the containers of a process say at one address: one socket, one table of routes."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from rpcnode.concurrency import Event
from rpcnode.extensions.web.access_log import log_answer
from rpcnode.extensions.web.cors import Cors, is_preflight, reply_to_options
from rpcnode.extensions.web.errors import busy, problem, reply_from_exception
from rpcnode.extensions.web.health import LIVE, READY, HealthCheck
from rpcnode.extensions.web.reply import Reply
from rpcnode.extensions.web.routing import METHODS, Mount, Route, RouteTable, Target
from rpcnode.httpd.address import BindAddress
from rpcnode.httpd.application import Answer, Application
from rpcnode.httpd.errors import Refusal
from rpcnode.httpd.server import Server
from rpcnode.httpd.settings import ServerSettings

logger = logging.getLogger(__name__)

TOGETHER = 0.2  # seconds within which containers that stop together say so


class Member(Protocol):
    """A container's part in a site."""

    @property
    def is_wrapped(self) -> bool:
        """Whether all requests go through a WSGI application."""

    def routes(self) -> Iterable[Route]:
        """Return what it answers."""

    def mounts(self) -> Iterable[Mount]:
        """Return the prefixes that it answers."""

    def problems(self) -> list[str]:
        """Return what keeps it from working."""

    def pass_through(self, exchange: Any) -> None:
        """Let its WSGI application answer; only where it is wrapped in one."""


class Site:
    """Listens for all its members, and finds who answers a request.

    Without an address nothing listens: requests come from `application` alone, which is what a
    server would call.
    """

    def __init__(
        self,
        address: BindAddress | None,
        settings: ServerSettings,
        *,
        cors: Cors | None = None,
        has_health: bool = True,
        has_access_log: bool = True,
    ) -> None:
        self.settings = settings
        self.application = Application(
            on_request=self.receive,
            on_error=_answer_to,
            on_done=log_answer if has_access_log else None,
        )
        self._server = None if address is None else Server(address, self.application, settings)
        self._cors = cors  # of what no route answers
        self._has_health = has_health
        self._joined: list[Member] = []
        self._open: list[Member] = []
        self._retired: list[Member] = []
        self._wrapped: list[Member] = []
        self._are_all_retired: Event[None] = Event()
        self._drained: Event[None] = Event()
        self._is_draining = False
        self._table = RouteTable([])

    @property
    def address(self) -> BindAddress | None:
        """Where it listens, with the port in use; None if nowhere."""
        return None if self._server is None else self._server.address

    @property
    def largest_body(self) -> int:
        """The largest body that any route takes, in bytes."""
        own = (getattr(route.target, "max_body", None) or 0 for route in _routes(self._open))
        return max(self.settings.max_body, *own, 0)

    def join(self, member: Member) -> None:
        """Note that `member` is going to open."""
        self._joined.append(member)

    def open(self, member: Member) -> None:
        """Answer the requests for a member's routes; the first one opens the socket.

        Raises ConfigurationError when two want the same requests, or the address is in use.
        """
        self._set([*self._open, member])
        if self._server is not None and len(self._open) == 1:
            self._server.start()
            logger.info("listening for HTTP at %s", self._server.address)

    def retire(self, member: Member, timeout: float) -> None:
        """Take no new connections for this member; wait until what was accepted is answered.

        Containers of a process stop together: then the socket is closed, and connections end
        with their answers, at most after `timeout` seconds. One that stops alone has its routes
        taken away.
        """
        self._retired.append(member)
        if all(each in self._retired for each in self._joined):
            self._are_all_retired.set()
        if self._are_all_retired.wait(TOGETHER):
            self._drain(timeout)
        elif member in self._open:
            self._set([each for each in self._open if each is not member])

    def leave(self, member: Member) -> None:
        """Forget a member."""
        self._set([each for each in self._open if each is not member])
        for members in (self._joined, self._retired):
            if member in members:
                members.remove(member)

    def close(self) -> None:
        """Close the socket and every connection, without waiting."""
        if self._server is not None:
            self._server.stop(0)
        self._drained.set()

    def receive(self, exchange: Any) -> None:
        """Let whoever it is for answer a request; called in the hub."""
        if self._wrapped:
            self._wrapper_of(exchange).pass_through(exchange)
        else:
            self.dispatch(exchange)

    def dispatch(self, exchange: Any) -> None:
        """Let a route answer a request, past the WSGI applications around them."""
        try:
            target, values = self._table.match(exchange.method, exchange.path)
        except HTTPException as exc:
            self._send(exchange, self._reply_to_unmatched(exchange, exc))
        else:
            target.receive(exchange, values)

    def _set(self, members: list[Member]) -> None:
        mounts = [mount for member in members for mount in member.mounts()]
        self._table = RouteTable(_routes(members), mounts, self._fixed())
        self._open = members
        self._wrapped = [member for member in members if member.is_wrapped]

    def _fixed(self) -> Mapping[str, Target]:
        if not self._has_health:
            return {}
        return {LIVE: HealthCheck(LIVE, list), READY: HealthCheck(READY, self._problems)}

    def _problems(self) -> list[str]:
        return [problem for member in self._joined for problem in member.problems()]

    def _drain(self, timeout: float) -> None:
        if self._is_draining:
            self._drained.wait(timeout)
            return
        self._is_draining = True
        try:
            if self._server is not None:
                self._server.stop(timeout)
        finally:
            self._drained.set()

    def _wrapper_of(self, exchange: Any) -> Member:
        if len(self._wrapped) > 1:
            try:
                target, _values = self._table.match(exchange.method, exchange.path)
            except HTTPException:
                return self._wrapped[0]
            server = getattr(target, "server", None)
            return next((each for each in self._wrapped if each is server), self._wrapped[0])
        return self._wrapped[0]

    def _reply_to_unmatched(self, exchange: Any, error: HTTPException) -> Reply:
        accept = exchange.headers.get("accept")
        if isinstance(error, MethodNotAllowed):
            return self._reply_to_other_method(exchange, accept)
        if self._cors is not None and is_preflight(exchange):
            return self._cors.preflight(exchange, sorted(METHODS))  # so that the page sees the 404
        if isinstance(error, RequestRedirect):
            query = f"?{exchange.query_string}" if exchange.query_string else ""
            return Reply(error.code, [("Location", error.new_url + query)])
        is_starting = len(self._open) + len(self._retired) < len(self._joined)
        if isinstance(error, NotFound) and is_starting:
            return busy("not all services have started", accept)
        return reply_from_exception(error, {}, accept)

    def _reply_to_other_method(self, exchange: Any, accept: str | None) -> Reply:
        methods = sorted({*self._table.methods(exchange.path), "OPTIONS"})
        if exchange.method != "OPTIONS":
            return problem(405, None, [("Allow", ", ".join(methods))], accept)
        return reply_to_options(exchange, methods, self._cors_of(exchange))

    def _send(self, exchange: Any, reply: Reply) -> None:
        if self._cors is not None and not is_preflight(exchange):
            self._cors.add_to(reply, exchange.headers.get("origin"))
        reply.send(exchange)

    def _cors_of(self, exchange: Any) -> Cors | None:
        wanted = exchange.headers.get("access-control-request-method")
        if wanted is None:
            return None
        try:
            target, _values = self._table.match(wanted, exchange.path)
        except HTTPException:
            return self._cors
        return getattr(target, "cors", None)


def _routes(members: Iterable[Member]) -> list[Route]:
    return [route for member in members for route in member.routes()]


def _answer_to(refusal: Refusal) -> Answer:
    reply = problem(refusal.status, refusal.detail)
    assert isinstance(reply.body, bytes)
    return reply.status, reply.headers, reply.body
