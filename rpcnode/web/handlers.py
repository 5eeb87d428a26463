"""The HTTP entrypoint, under the name that Nameko's users know."""

from rpcnode.extensions.http import (
    HttpRequestHandler,
    http,
    response_from_exception,
    response_from_result,
)

__all__ = ["HttpRequestHandler", "http", "response_from_exception", "response_from_result"]
