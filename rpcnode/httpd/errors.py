"""What goes wrong with a request, each with the status of its answer; and wrong answers."""

from rpcnode.exceptions import ConfigurationError, RpcNodeError

CLIENT_GONE = 499  # nginx's number for a client that left before its answer


class HttpdError(RpcNodeError):
    """The base of errors of the HTTP server."""


class Refusal(HttpdError):
    """Raised when a request cannot be served; `status` is the HTTP status that says so.

    Its text is meant for the client: it says what is wrong with the request. `remote_addr` is set
    where it is the application's to word the answer.
    """

    status = 400
    remote_addr: str | None = None

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if status is not None:
            self.status = status


class BodyTooLarge(Refusal):
    """Raised when a request's body is, or says that it is, larger than allowed."""

    status = 413


class BodyTimeout(Refusal):
    """Raised when a client sends nothing of a body that it promised for too long."""

    status = 408


class ClientGone(Refusal):
    """Raised when the client is not there any more, or takes nothing for too long."""

    status = CLIENT_GONE


class InvalidHeader(HttpdError, ValueError):
    """Raised when a header of an answer cannot be sent as it is; names the header."""


class InvalidAnswer(HttpdError):
    """Raised when an answer is given twice, or its parts in an order that cannot be."""


class AddressInUse(ConfigurationError):
    """Raised at start when the address of a server is taken; names who has it, if it can."""
