"""The HTTP entrypoint."""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from rpcnode.concurrency import Timeout
from rpcnode.context import WorkerContext
from rpcnode.exceptions import ConfigurationError, DeadlineExceeded
from rpcnode.extensions.base import Entrypoint
from rpcnode.extensions.web.answers import Answers
from rpcnode.extensions.web.call import Call
from rpcnode.extensions.web.cors import Cors, cors_from
from rpcnode.extensions.web.errors import (
    STOPPING,
    Statuses,
    busy,
    problem,
    response_from_exception,
)
from rpcnode.extensions.web.files import File
from rpcnode.extensions.web.gateway import EnvironExchange
from rpcnode.extensions.web.mounts import StaticFiles, WsgiMount
from rpcnode.extensions.web.reply import Reply, Stream
from rpcnode.extensions.web.requests import HttpRequest
from rpcnode.extensions.web.resources import make_resource
from rpcnode.extensions.web.results import (
    is_generator,
    reply_from_response,
    response_from_result,
)
from rpcnode.extensions.web.routing import check_parameters, check_rule, methods_of
from rpcnode.extensions.web.server import WebServer, WsgiApp
from rpcnode.sizes import parse_size

__all__ = [
    "Cors",
    "File",
    "HttpRequest",
    "HttpRequestHandler",
    "StaticFiles",
    "WebServer",
    "WsgiApp",
    "WsgiMount",
    "http",
    "response_from_exception",
    "response_from_result",
]

logger = logging.getLogger(__name__)


class HttpRequestHandler(Entrypoint):
    """Fires a method for each request: `@http("GET", "/items/<int:item_id>")`.

    The method gets the request, and the values in the URL by name. What it returns, or raises,
    is the answer. The rule is Werkzeug's; several methods are separated by commas.

    - `max_body`: the largest body, such as "1MB"; HTTP_MAX_BODY unless given.
    - `timeout`: seconds that a request may take, from its head to its answer; HTTP_TIMEOUT
      unless given. A stream has only the limit that is given here.
    - `errors`: exception classes, or names of the classes of remote errors, to statuses. A
      subclass may have them as an attribute, too.
    - `cors`, `gzip`: as HTTP_CORS and HTTP_GZIP, for this route.
    - `stream`: whether answers are streams, and get a worker of the streams' lane; a method that
      is a generator is one.
    - `endless`: the stream ends with its client only, so that a stop ends it, in good order.

    See `Entrypoint` for the other options; `expected_exceptions` are answered with 400.
    """

    server = WebServer()
    errors: ClassVar[Statuses] = {}
    collects_items = False

    def __init__(
        self,
        method: str,
        url: str,
        *,
        max_body: int | str | None = None,
        errors: Statuses | None = None,
        cors: Any = None,
        gzip: bool | None = None,
        stream: bool | None = None,
        endless: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.url = url
        self.max_body = None if max_body is None else parse_size(max_body)
        if max_body is not None and self.max_body is None:
            raise ConfigurationError(f"http: max_body must be a size, not {max_body!r}")
        expected: Statuses = dict.fromkeys(self.expected_exceptions, 400)
        self.statuses: Statuses = {**expected, **self.errors, **(errors or {})}
        self._own_cors = cors
        self._own_gzip = gzip
        self._own_stream = True if endless else stream
        self._is_endless = endless
        check_rule(method, url)
        cors_from(cors)

    def setup(self) -> None:
        """Make the route known; ConfigurationError when the method cannot take its values."""
        config = self.container.config
        cls, own = type(self), HttpRequestHandler
        self.cors = cors_from(config["HTTP_CORS"] if self._own_cors is None else self._own_cors)
        self.answers = Answers(
            self.statuses,
            self.cors,
            compresses=config["HTTP_GZIP"] if self._own_gzip is None else self._own_gzip,
            from_result=_overridden(self.response_from_result, own.response_from_result),
            from_exception=_overridden(self.response_from_exception, own.response_from_exception),
        )
        self._is_direct = cls.handle_request is own.handle_request
        # Else `handle_request` passes answers on to where this is done.
        self.finishes = self._is_direct and self.answers.adds
        self._has_usual_parameters = cls.get_entrypoint_parameters is own.get_entrypoint_parameters
        method = inspect.getattr_static(self.container.service_cls, self.method_name)
        self._is_stream = is_generator(method) if self._own_stream is None else self._own_stream
        if self._is_stream and self.max_workers is None:
            self.lane = self.server.streams
        self._timeout = self.timeout or (None if self._is_stream else config["HTTP_TIMEOUT"])
        if self._has_usual_parameters:
            check_parameters(self, self.get_url_rule())
        self.server.register_provider(self)

    def start(self) -> None:
        """Answer requests, those of all routes of the container at once."""
        self.server.open()

    def stop(self) -> None:
        """Forget the route; the server has seen to the requests."""
        self.server.unregister_provider(self)

    def get_url_rule(self) -> Rule:
        """Return the rule of the route."""
        return Rule(self.url, methods=methods_of(self.method))

    def receive(self, exchange: Any, values: Mapping[str, Any]) -> None:
        """Let a worker answer as soon as one is free; called in the hub."""
        if self.max_body is not None:
            exchange.max_body = self.max_body
        is_full = len(self.lane.threads) >= self.lane.max_workers
        length = exchange.content_length
        is_too_large = length and length > exchange.max_body
        is_unusual = is_full or is_too_large or self._is_endless
        reply = self._refusal(exchange, is_full) if is_unusual else None
        if reply is not None:
            self.answers.finish(exchange, reply)
            reply.send(exchange)
        elif self._is_direct:
            self._submit(Call(self, exchange, values))
        else:
            self.server.run_aside(exchange, lambda: self._answer_by_response(exchange, values))

    def _refusal(self, exchange: Any, is_full: bool) -> Reply | None:
        accept = exchange.headers.get("accept")
        if (exchange.content_length or 0) > exchange.max_body:
            return problem(413, f"the body is larger than {exchange.max_body} bytes", [], accept)
        if self._is_endless and self.server.is_retiring:
            return busy(STOPPING, accept)
        if is_full and self._is_stream:
            return busy("too many streams run", accept)
        if is_full and self.lane.pending >= self.server.queue_limit:
            return busy("too many requests wait", accept)
        return None

    def _submit(self, call: Call) -> None:
        exchange = call.exchange
        if self._timeout is not None:
            call.deadline = exchange.started + self._timeout
        if exchange.is_gathered or self._is_stream:  # a stream may answer what is still sent
            self.lane.submit(call.run, call.drop)
        else:
            self.server.when_gathered(exchange, call.deadline, partial(self._submit_gathered, call))

    def _submit_gathered(self, call: Call) -> None:
        is_full = len(self.lane.threads) >= self.lane.max_workers
        if is_full and self.lane.pending >= self.server.queue_limit:
            call.refuse("too many requests wait")
        else:
            self.lane.submit(call.run, call.drop)

    def run_worker(self, call: Call, request: HttpRequest) -> None:
        """Run a worker for a request, here and now."""
        try:
            context = self.server.context_of(request)
            args: Any = (request,)
            kwargs = request.path_values
            if not self._has_usual_parameters:
                args, kwargs = self.get_entrypoint_parameters(request)
                self.check_signature(args, kwargs)
        except Exception as exc:  # the overrides are the user's
            self._log(exc)
            call.send(self.reply_from_exception(call.exchange, exc))
            return
        self.container.run_worker(
            self, args, kwargs, context, call.handle, deadline=call.deadline, origin=call
        )

    def encode_result(self, worker_ctx: WorkerContext, result: Any) -> Any:
        """Return the answer that a result makes; one that is streamed is given here.

        What a stream needs of its worker is there until it ends.
        """
        call: Call | None = worker_ctx.origin
        if call is None:  # a test that wants the result itself
            return None
        reply = self.answers.to_result(call.exchange, result)
        if reply.is_streamed:
            with self._stream_limit(worker_ctx), self._ended_by_a_stop(reply.body):
                call.send(reply)
        return reply

    def _stream_limit(self, worker_ctx: WorkerContext) -> Timeout:
        if self.timeout is None:
            worker_ctx.deadline = None  # what it calls may go on as long as it does
            return Timeout(None)
        text = f"{worker_ctx.call_id} streamed past its timeout of {self.timeout:g} s"
        return Timeout(max((worker_ctx.deadline or 0) - monotonic(), 0), DeadlineExceeded(text))

    @contextmanager
    def _ended_by_a_stop(self, body: Any) -> Iterator[None]:
        if not self._is_endless or not isinstance(body, Stream):
            yield
            return
        self.server.endless.add(body)
        try:
            yield
        finally:
            self.server.endless.discard(body)

    def reply_from_exception(self, exchange: Any, error: BaseException) -> Reply:
        """Return the answer that an exception makes."""
        return self.answers.to_exception(exchange, error)

    def failure_level(self, error: BaseException) -> int:
        """Return the level at which a worker's failure is logged: none that says what to mend."""
        return self.answers.failure_level(error, super().failure_level(error))

    def _answer_by_response(self, exchange: Any, values: Mapping[str, Any]) -> None:
        request = HttpRequest(exchange, values)
        try:
            reply = reply_from_response(self.handle_request(request))
        except Exception as exc:  # the override is the user's
            self._log(exc)
            reply = self.reply_from_exception(exchange, exc)
        self.answers.finish(exchange, reply)
        reply.send(exchange)
        request.close_files()

    def _log(self, error: Exception) -> None:
        logger.log(self.failure_level(error), "%r failed", self, exc_info=True)

    def get_entrypoint_parameters(self, request: HttpRequest) -> tuple[Any, Mapping[str, Any]]:
        """Return the arguments of the method; override it for others."""
        return (request,), request.path_values

    def handle_request(self, request: HttpRequest) -> Response:
        """Run a worker for a request, and return its answer; override it to act around that."""
        exchange = EnvironExchange(request.environ, request.max_content_length)
        self._submit(Call(self, exchange, request.path_values, request))
        status, headers = exchange.wait_head()
        if exchange.body is not None:
            return Response(exchange.body, status, headers)
        return Response(exchange.parts(), status, headers, direct_passthrough=True)

    def response_from_result(self, result: Any) -> Response:
        """Return the answer that a result makes; override it for others."""
        return response_from_result(result)

    def response_from_exception(self, exc: BaseException) -> Response:
        """Return the answer that an exception makes; override it for others."""
        return response_from_exception(exc, self.statuses)

    @classmethod
    def resource(cls, url: str, **options: Any) -> Callable[[type], Any]:
        """Declare a group of methods, named after HTTP's, for one URL (a decorator).

        In the service, method `get` of group `Items` is `items_get`, and `self` is the service.
        """
        return lambda group: make_resource(group, cls, url, options)


def _overridden(method: Callable[..., Response], own: Any) -> Callable[..., Response] | None:
    return None if getattr(method, "__func__", None) is own else method


def http(method: str, url: str, **options: Any) -> Any:
    """Declare that a method answers requests; see HttpRequestHandler."""
    return HttpRequestHandler.decorator(method, url, **options)


http.resource = HttpRequestHandler.resource  # type: ignore[attr-defined]  # `@http.resource(...)`
