"""A small client of RabbitMQ's management HTTP API."""

import base64
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

TIMEOUT = 10


class ManagementApi:
    """Talks to the management API at `api_uri` (`http://user:password@host:port`)."""

    def __init__(self, api_uri: str) -> None:
        parts = urlsplit(api_uri)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 15672
        self.user = unquote(parts.username or "guest")
        self._password = unquote(parts.password or "guest")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the decoded answer to `method` on `/api/{path}`; `OSError` for a status over 299.

        Names inside `path` must be quoted already (see `quoted`).
        """
        connection = HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            encoded = None if body is None else json.dumps(body)
            connection.request(method, f"/api/{path}", encoded, self._headers())
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status > 299:
            raise OSError(f"{method} /api/{path}: {response.status} {answer.decode()[:200]}")
        return json.loads(answer) if answer else None

    def _headers(self) -> dict[str, str]:
        credentials = base64.b64encode(f"{self.user}:{self._password}".encode()).decode()
        return {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}

    def create_vhost(self, name: str) -> None:
        """Create the virtual host `name` and open it to this client's user."""
        self.request("PUT", f"vhosts/{quoted(name)}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.request("PUT", f"permissions/{quoted(name)}/{quoted(self.user)}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete the virtual host `name` with all that is in it."""
        self.request("DELETE", f"vhosts/{quoted(name)}")

    def connections(self) -> list[str]:
        """Return the names of all open connections, as far as the broker's statistics know."""
        return [connection["name"] for connection in self.request("GET", "connections")]

    def close_connection(self, name: str) -> None:
        """Make the broker close the connection `name`."""
        self.request("DELETE", f"connections/{quoted(name)}")


def quoted(name: str) -> str:
    """Return `name` as one segment of a path."""
    return quote(name, safe="")
