"""How one route answers: results, exceptions, and what is added to each answer."""

import logging
from collections.abc import Callable
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from rpcnode.extensions.web.compression import compress
from rpcnode.extensions.web.cors import Cors
from rpcnode.extensions.web.errors import Statuses, reply_from_exception, status_of
from rpcnode.extensions.web.files import File
from rpcnode.extensions.web.reply import Reply
from rpcnode.extensions.web.results import reply_from_response, reply_from_result
from rpcnode.httpd.errors import Refusal

FAILURES = 500  # statuses from here on are not the client's fault


class Answers:
    """Makes the answers of a route.

    `from_result` and `from_exception` are what a subclass of the handler makes them with, where
    it does.
    """

    def __init__(
        self,
        statuses: Statuses,
        cors: Cors | None,
        *,
        compresses: bool,
        from_result: Callable[[Any], Response] | None,
        from_exception: Callable[[BaseException], Response] | None,
    ) -> None:
        self.adds = compresses or cors is not None  # whether `finish` does anything
        self._statuses = statuses
        self._cors = cors
        self._compresses = compresses
        self._from_result = from_result
        self._from_exception = from_exception

    def to_result(self, exchange: Any, result: Any) -> Reply:
        """Return the answer that a result makes; TypeError and the like when it is none."""
        if self._from_result is not None:
            return reply_from_response(self._from_result(result))
        return result.reply_to(exchange) if isinstance(result, File) else reply_from_result(result)

    def to_exception(self, exchange: Any, error: BaseException) -> Reply:
        """Return the answer that an exception makes."""
        if self._from_exception is not None:
            return reply_from_response(self._from_exception(error))
        return reply_from_exception(error, self._statuses, exchange.headers.get("accept"))

    def finish(self, exchange: Any, reply: Reply) -> None:
        """Add to an answer what does not depend on its sense."""
        if self._compresses:
            compress(exchange, reply)
        if self._cors is not None:
            self._cors.add_to(reply, exchange.headers.get("origin"))

    def failure_level(self, error: BaseException, usual: int) -> int:
        """Return the level at which an exception is logged; `usual` where nothing is known."""
        if isinstance(error, HTTPException):
            return logging.DEBUG if (error.code or 0) < FAILURES else usual
        if isinstance(error, Refusal):
            return logging.DEBUG
        is_known = (status_of(error, self._statuses) or FAILURES) < FAILURES
        return logging.WARNING if is_known else usual
