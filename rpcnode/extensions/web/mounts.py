"""What answers all requests below a path: files, and WSGI applications."""

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.security import safe_join

from rpcnode.context import WorkerContext
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import DependencyProvider
from rpcnode.extensions.web.cors import cors_from, reply_to_options
from rpcnode.extensions.web.errors import busy, problem, reply_from_exception
from rpcnode.extensions.web.files import File
from rpcnode.extensions.web.reply import Reply
from rpcnode.extensions.web.routing import Mount
from rpcnode.extensions.web.server import GATHER_TIME, WebServer, say_stopping, settle
from rpcnode.extensions.web.wsgi import run_application
from rpcnode.lanes import Lane

logger = logging.getLogger(__name__)

METHODS = ["GET", "HEAD", "OPTIONS"]  # that a file has


class _Mounted(DependencyProvider):
    server = WebServer()
    works_alone = True

    def __init__(self, prefix: str) -> None:
        if not prefix.startswith("/"):
            raise ConfigurationError(f"{type(self).__name__}: {prefix!r} must begin with a slash")
        self.prefix = prefix.rstrip("/")

    def setup(self) -> None:
        """Make the prefix known."""
        self.server.register_mount(Mount(self.prefix, self))

    def start(self) -> None:
        """Answer requests."""
        self.server.open_for_mounts()

    def receive(self, exchange: Any, _values: Mapping[str, Any]) -> None:
        """Let a green thread answer as soon as there is room; called in the hub."""
        lane = self._lane()
        if lane.pending > self.server.queue_limit or self._is_full(lane):
            busy("too many requests wait", exchange.headers.get("accept")).send(exchange)
        else:
            answer = partial(settle, exchange, self._answer, exchange)
            submit = partial(lane.submit, answer, partial(say_stopping, exchange))
            deadline = exchange.started + GATHER_TIME
            self.server.when_gathered(exchange, deadline, submit)

    def _lane(self) -> Lane:
        raise NotImplementedError(f"{type(self).__name__} does not say in which lane it runs")

    def _is_full(self, _lane: Lane) -> bool:
        return False

    def _answer(self, exchange: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say how it answers")


class WsgiMount(_Mounted):
    """Lets a WSGI application answer all below a path: `legacy = WsgiMount("/old", app)`.

    It runs in the lane of the container's workers, one green thread for each request, and is
    what the service finds under that name.
    """

    def __init__(self, prefix: str, application: Callable[..., Any]) -> None:
        super().__init__(prefix)
        self.application = application

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Return the application."""
        return self.application

    def _lane(self) -> Lane:
        return self.container.default_lane  # type: ignore[no-any-return]  # containers have one

    def _answer(self, exchange: Any) -> None:
        run_application(self.application, exchange, self.prefix)


class StaticFiles(_Mounted):
    """Answers all below a path with the files of a directory, and with nothing outside of it.

    Names that begin with a dot, and links that lead outside, are not found. `index` is the file
    that stands for its directory, `max_age` the seconds that clients may keep a file. The
    service finds the directory under the name of this.
    """

    def __init__(
        self,
        prefix: str,
        directory: str | os.PathLike[str],
        *,
        index: str | None = None,
        max_age: int | None = None,
    ) -> None:
        super().__init__(prefix)
        self.directory = Path(directory)
        self.index = index
        self.max_age = max_age

    def setup(self) -> None:
        """Make the prefix known; ConfigurationError when there is no such directory."""
        if not self.directory.is_dir():
            raise ConfigurationError(f"{self!r}: there is no directory {self.directory}")
        self._root = os.path.realpath(self.directory)
        self._cors = cors_from(self.container.config["HTTP_CORS"])
        super().setup()

    def get_dependency(self, worker_ctx: WorkerContext) -> Path:
        """Return the directory."""
        return self.directory

    def _lane(self) -> Lane:
        return self.server.streams

    def _is_full(self, lane: Lane) -> bool:
        return len(lane.threads) >= lane.max_workers

    def _answer(self, exchange: Any) -> None:
        if exchange.method == "OPTIONS":
            reply_to_options(exchange, METHODS, self._cors).send(exchange)
            return
        reply = self._reply(exchange)
        if self._cors is not None:
            self._cors.add_to(reply, exchange.headers.get("origin"))
        reply.send(exchange)

    def _reply(self, exchange: Any) -> Reply:
        accept = exchange.headers.get("accept")
        try:
            if exchange.method not in METHODS:
                raise MethodNotAllowed(METHODS)
            return File(self._path(exchange.path), max_age=self.max_age).reply_to(exchange)
        except HTTPException as exc:
            return reply_from_exception(exc, {}, accept)
        except OSError:
            logger.error("%r cannot read %s", self, exchange.path, exc_info=True)
            return problem(500, None, [], accept)

    def _path(self, path: str) -> str:
        inside = unquote(path).removeprefix(self.prefix).lstrip("/")
        parts = inside.split("/")
        joined = safe_join(self._root, inside) if inside else self._root
        if joined is None or "\0" in joined or any(part.startswith(".") for part in parts):
            raise NotFound
        real = os.path.realpath(joined)
        if real != self._root and not real.startswith(f"{self._root}{os.sep}"):
            raise NotFound
        if not os.path.isdir(real):  # noqa: PTH112 (a Path raises where a name is too long)
            if inside.endswith("/"):
                raise NotFound
            return real
        if self.index is None:
            raise NotFound
        return os.path.join(real, self.index)  # noqa: PTH118 (as above)
