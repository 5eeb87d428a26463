"""What a server needs of an application: three callables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from rpcnode.httpd.errors import Refusal

if TYPE_CHECKING:
    from rpcnode.httpd.exchange import Exchange

Headers: TypeAlias = Sequence[tuple[str, str]]
Answer: TypeAlias = tuple[int, Headers, bytes]


def problem(refusal: Refusal) -> Answer:
    """Return the answer to a request that cannot be served, as RFC 9457 describes it."""
    status = HTTPStatus(refusal.status)
    details = {"title": status.phrase, "status": status.value, "detail": refusal.detail}
    return status, [("Content-Type", "application/problem+json")], json.dumps(details).encode()


@dataclass(frozen=True)
class Application:
    """Who answers the requests that arrive.

    `on_request(exchange)` is called in the hub and must not block. `on_error(refusal)` returns
    the answer to a malformed request. `on_done(exchange, status, bytes_sent, seconds)` is called
    after each answer; 499 is the status where the client left before, 0 where the application cut
    the connection.
    """

    on_request: Callable[["Exchange"], object]
    on_error: Callable[[Refusal], Answer] = problem
    on_done: Callable[["Exchange", int, int, float], object] | None = None
