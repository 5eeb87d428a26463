"""A request as WSGI applications see it (PEP 3333)."""

import sys
from typing import Any
from urllib.parse import unquote_to_bytes

_OWN_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def environ_of(exchange: Any, prefix: str = "") -> dict[str, Any]:
    """Return the WSGI environment of a request to an application mounted at `prefix`."""
    given = getattr(exchange, "environ", None)  # it came from another WSGI server
    environ: dict[str, Any] = _made(exchange) if given is None else dict(given)
    if prefix:
        environ["SCRIPT_NAME"] = environ["SCRIPT_NAME"] + prefix
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
    return environ


def _made(exchange: Any) -> dict[str, Any]:
    host, port = exchange.server_addr
    environ: dict[str, Any] = {
        "REQUEST_METHOD": exchange.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(exchange.path).decode("latin-1"),
        "QUERY_STRING": exchange.query_string,
        "RAW_URI": exchange.target,
        "REQUEST_URI": exchange.target,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{exchange.version}",
        "REMOTE_ADDR": exchange.remote_addr,
        "REMOTE_PORT": str(exchange.remote_port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": exchange.scheme,
        "wsgi.input": exchange.stream,
        # Chunked bodies end as well: who reads on gets nothing.
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in exchange.headers.items():
        _add(environ, name, value)
    return environ


def _add(environ: dict[str, Any], name: str, value: str) -> None:
    if "_" in name:
        return  # `X_User` would pose as `X-User`
    key = _OWN_NAMES.get(name.lower()) or f"HTTP_{name.upper().replace('-', '_')}"
    if key in environ:
        separator = "; " if key == "HTTP_COOKIE" else ","
        value = f"{environ[key]}{separator}{value}"
    environ[key] = value
