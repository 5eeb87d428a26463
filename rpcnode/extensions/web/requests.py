"""The request that a method gets: Werkzeug's, made of what is asked for and no more."""

import json
from typing import Any
from urllib.parse import unquote

from werkzeug.datastructures import EnvironHeaders
from werkzeug.utils import cached_property  # functools' own takes a lock each time
from werkzeug.wrappers import Request

from rpcnode.extensions.web.environ import environ_of

JSON_TYPE = "application/json"


class _Json:
    """Reads JSON for Werkzeug, which expects ValueError of what cannot be read."""

    @staticmethod
    def loads(data: bytes | str) -> Any:
        try:
            return _read_json(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    dumps = staticmethod(json.dumps)


_read_value = json.JSONDecoder().raw_decode


def _read_json(data: bytes | str) -> Any:
    try:
        text = data.decode() if isinstance(data, bytes) else data
        value, end = _read_value(text)
        if end == len(text):
            return value
    except ValueError:
        pass
    return json.loads(data)  # white space around it, or another encoding, or an error


class HttpRequest(Request):
    """A `werkzeug.Request`; `exchange` is the server's side of it.

    Building Werkzeug's costs more than answering, so its parts are made when they are used.
    """

    json_module = _Json  # type: ignore[assignment]  # what it uses of the module
    shallow = False

    def __init__(self, exchange: Any, path_values: Any) -> None:
        # Werkzeug's constructor is not called: what it sets is below.
        self.exchange = exchange
        self.path_values = path_values
        self.method = exchange.method

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The WSGI environment."""
        return environ_of(self.exchange)

    @cached_property
    def headers(self) -> EnvironHeaders:  # type: ignore[override]  # an attribute there
        """The header fields; repeated ones are one, separated by commas."""
        return EnvironHeaders(self.environ)

    @cached_property
    def path(self) -> str:
        """The path, decoded."""
        return "/" + unquote(self.exchange.path).lstrip("/")

    @cached_property
    def query_string(self) -> bytes:
        """What stands behind the question mark."""
        return str(self.exchange.query_string).encode("latin-1")

    @property
    def scheme(self) -> str:  # type: ignore[override]  # an attribute there
        """`http` or `https`."""
        return str(self.exchange.scheme)

    @property
    def server(self) -> tuple[str, int]:  # type: ignore[override]  # an attribute there
        """Host and port that the request came to."""
        host, port = self.exchange.server_addr
        return host, port

    @property
    def root_path(self) -> str:  # type: ignore[override]  # an attribute there
        """The prefix that other WSGI applications are mounted under: none."""
        return str(self.environ["SCRIPT_NAME"]) if hasattr(self.exchange, "environ") else ""

    @property
    def remote_addr(self) -> str | None:  # type: ignore[override]  # an attribute there
        """The address of the client."""
        return str(self.exchange.remote_addr)

    @property
    def max_content_length(self) -> int:  # type: ignore[override]  # an attribute there
        """The largest body, in bytes."""
        return int(self.exchange.max_body)

    @cached_property
    def stream(self) -> Any:
        """The body as a file; it ends where the body does, and raises when that is too large."""
        return self.exchange.stream

    @cached_property
    def json(self) -> Any:
        """What the body says in JSON; BadRequest (400) or UnsupportedMediaType (415) if nothing."""
        known = self.__dict__
        is_plain = self.exchange.headers.get("content-type") == JSON_TYPE
        if not is_plain or "stream" in known or "_cached_data" in known:
            return self.get_json()
        # The same as there, without asking Werkzeug what is known here.
        known["_cached_data"] = data = self.exchange.read()
        try:
            return _read_json(data)
        except (ValueError, RecursionError):
            return self.get_json()  # it says what is wrong

    def close_files(self) -> None:
        """Close what was uploaded, if it was looked at."""
        if "files" in self.__dict__:
            self.close()
