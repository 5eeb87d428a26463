"""HTTP: what services answer, and how they answer it."""

from rpcnode.extensions.http import (
    Cors,
    File,
    HttpRequest,
    HttpRequestHandler,
    StaticFiles,
    WsgiMount,
    http,
)

__all__ = [
    "Cors",
    "File",
    "HttpRequest",
    "HttpRequestHandler",
    "StaticFiles",
    "WsgiMount",
    "http",
]
