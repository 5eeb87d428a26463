"""Exceptions, and the answers that they make: RFC 9457, and the text of no exception in a 500."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from rpcnode.exceptions import (
    BadRequest,
    BrokerError,
    BrokerUnavailable,
    ContainerBeingKilled,
    DeadlineExceeded,
    MethodNotFound,
    PublishRejected,
    PublishTimeout,
    RemoteError,
    RpcTimeout,
    TooBusy,
    UnknownService,
)
from rpcnode.extensions.web.encoding import TEXT, encode_json
from rpcnode.extensions.web.reply import Reply
from rpcnode.extensions.web.results import reply_from_response, response_from_reply
from rpcnode.httpd.errors import Refusal

# Statuses by exception class, or by the name of the class of a remote error.
Statuses: TypeAlias = Mapping[type[BaseException] | str, int]

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER = ("Retry-After", "1")
BUSY = 503
STOPPING = "the service is stopping"
# The most particular class is looked up first. What is not here is 500.
STATUSES: Statuses = {
    BadRequest: 400,
    MethodNotFound: 502,  # the service asked for what is not there; the client did not
    UnknownService: 502,
    BrokerError: 502,
    BrokerUnavailable: 503,
    PublishRejected: 503,
    TooBusy: 503,
    ContainerBeingKilled: 503,
    RpcTimeout: 504,
    PublishTimeout: 504,
    DeadlineExceeded: 504,
}


def problem(
    status: int,
    detail: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    accept: str | None = None,
) -> Reply:
    """Return the answer that says what went wrong, as problem+json or as text.

    `accept` is the client's header of that name.
    """
    title = _title(status)
    if _prefers_text(accept):
        text = title if detail is None else f"{title}: {detail}"
        return Reply(status, [*TEXT, *headers], f"{status} {text}\n".encode())
    facts: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail is not None:
        facts["detail"] = detail
    return Reply(status, [("Content-Type", PROBLEM_TYPE), *headers], encode_json(facts))


def busy(detail: str, accept: str | None = None) -> Reply:
    """Return the answer that asks to come again a little later."""
    return problem(BUSY, detail, [RETRY_AFTER], accept)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of the user's own
        return "Error"


def _prefers_text(accept: str | None) -> bool:
    if not accept or accept == "*/*":
        return False
    offered = [PROBLEM_TYPE, "application/json", "text/plain", "text/html"]
    best = parse_accept_header(accept, MIMEAccept).best_match(offered, default=PROBLEM_TYPE)
    return best is not None and best.startswith("text/")


def reply_from_exception(
    error: BaseException, statuses: Statuses, accept: str | None = None
) -> Reply:
    """Return the answer that an exception makes; `statuses` beat what is usual.

    Its text is shown only where it is meant for the client: in exceptions of Werkzeug, and in
    those that `statuses` maps to a status below 500.
    """
    if isinstance(error, HTTPException):
        return _reply_from_http_exception(error, accept)
    if isinstance(error, Refusal):
        return problem(error.status, error.detail, [], accept)
    own = status_of(error, statuses)
    status = own or status_of(error, STATUSES) or 500
    detail = _text_of(error) if own and own < 500 else None
    return problem(status, detail, [RETRY_AFTER] if status == BUSY else [], accept)


def response_from_exception(exc: BaseException, statuses: Statuses | None = None) -> Response:
    """Return the answer that an exception makes."""
    return response_from_reply(reply_from_exception(exc, statuses or {}))


def status_of(error: BaseException, statuses: Statuses) -> int | None:
    """Return the status of an exception by its class, or by its name where it is remote."""
    if isinstance(error, RemoteError) and (error.exc_type or "") in statuses:
        return statuses[error.exc_type or ""]
    for cls in type(error).__mro__:
        if cls in statuses:
            return statuses[cls]
    return None


def _text_of(error: BaseException) -> str | None:
    if isinstance(error, RemoteError):
        return str(error.value)
    return str(error) or None


def _reply_from_http_exception(error: HTTPException, accept: str | None) -> Reply:
    if error.response is not None:
        return reply_from_response(error.response)  # type: ignore[arg-type]  # the WSGI one
    status = error.code or 500
    if isinstance(error, RequestRedirect):
        return Reply(status, [("Location", error.new_url)])
    headers = [each for each in error.get_headers() if each[0].lower() != "content-type"]
    # What Werkzeug says by itself is for people who look at a page.
    is_own = status < 500 and error.description != type(error).description
    return problem(status, error.description if is_own else None, headers, accept)
