"""One request on its way through a lane to a worker, until it is answered."""

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any

from rpcnode.context import ExcInfo, WorkerContext
from rpcnode.extensions.web.errors import STOPPING, busy, problem
from rpcnode.extensions.web.reply import Reply
from rpcnode.extensions.web.requests import HttpRequest

logger = logging.getLogger(__name__)


class Call:
    """A request for a handler. `deadline` (of `time.monotonic`) is when nobody waits any more."""

    __slots__ = ("_handler", "_is_sent", "_values", "deadline", "exchange", "request")

    def __init__(
        self,
        handler: Any,
        exchange: Any,
        values: Mapping[str, Any],
        request: HttpRequest | None = None,
    ) -> None:
        self.exchange = exchange
        self.request = request
        self.deadline: float | None = None
        self._handler = handler
        self._values = values
        self._is_sent = False

    def run(self) -> None:
        """Run the worker, here and now; whatever happens, the client gets an answer."""
        if self.exchange.is_gone:
            self.refuse("nobody waits for an answer any more")
            return
        if self.deadline is not None and self.deadline <= monotonic():
            self.refuse("no worker was free in time")
            return
        request = self.request
        if request is None:
            request = self.request = HttpRequest(self.exchange, self._values)
        try:
            self._handler.run_worker(self, request)
        finally:
            self._settle()
            request.close_files()

    def drop(self) -> None:
        """Tell the client that the service stops."""
        self.refuse(STOPPING)

    def send(self, reply: Reply) -> None:
        """Give the answer."""
        if self._handler.finishes:
            self._handler.answers.finish(self.exchange, reply)
        reply.send(self.exchange)
        self._is_sent = True

    def handle(
        self, worker_ctx: WorkerContext, result: Any, exc_info: ExcInfo | None
    ) -> tuple[Any, ExcInfo | None]:
        """Answer with the outcome of the worker, unless that was done by a stream."""
        if not self.exchange.is_responded:
            if exc_info is None:
                self.send(worker_ctx.encoded_result)
            else:
                self.send(self._handler.reply_from_exception(self.exchange, exc_info[1]))
        return result, exc_info

    def refuse(self, detail: str) -> None:
        """Tell the client to come again later."""
        self.send(busy(detail, self.exchange.headers.get("accept")))

    def _settle(self) -> None:
        if self._is_sent:
            return
        # The worker was killed, or its answer broke off, or could not be sent as it is.
        if self.exchange.is_responded:
            self.exchange.abort()
        elif self._handler.container.is_stopping:
            self.refuse(STOPPING)
        else:
            self.send(problem(500, None, [], self.exchange.headers.get("accept")))
