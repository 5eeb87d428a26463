"""RabbitMQ for tests: a fresh virtual host for each, made through the management HTTP API."""

import base64
import json
import secrets
import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from rpcnode.config import mask_uri
from rpcnode.exceptions import BrokerError, BrokerRefused, BrokerUnavailable

TIMEOUT = 5  # seconds for anything that is asked of the server
PORTS = {"amqps": 5671}
DEFAULT_PORT = 5672
API_PORT = 15672


class Client:
    """Talks to the management API at `uri`: `http://user:password@host:15672`.

    Raises BrokerUnavailable when nobody answers, and BrokerRefused when the answer is no.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._safe_uri = mask_uri(uri)
        self._connection_cls = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host = parts.hostname or "localhost"
        self._port = parts.port or API_PORT
        self._path = parts.path.rstrip("/")
        self.username = unquote(parts.username or "guest")
        credentials = f"{self.username}:{unquote(parts.password or 'guest')}".encode()
        self._login = f"Basic {base64.b64encode(credentials).decode()}"

    def get_all_vhosts(self) -> list[str]:
        """Return the names of all virtual hosts that the user sees."""
        return [vhost["name"] for vhost in self._ask("GET", "vhosts")]

    def create_vhost(self, vhost: str) -> None:
        """Make a virtual host, unless it is there."""
        self._ask("PUT", f"vhosts/{_quoted(vhost)}")

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host, with all that is in it and all connections to it."""
        self._ask("DELETE", f"vhosts/{_quoted(vhost)}")

    def set_vhost_permissions(
        self, vhost: str, username: str, configure: str = ".*", read: str = ".*", write: str = ".*"
    ) -> None:
        """Let a user do this in a virtual host: regular expressions of names, anything at first."""
        permissions = {"configure": configure, "read": read, "write": write}
        self._ask("PUT", f"permissions/{_quoted(vhost)}/{_quoted(username)}", permissions)

    def _ask(self, verb: str, resource: str, body: Any = None) -> Any:
        connection = self._connection_cls(self._host, self._port, timeout=TIMEOUT)
        headers = {"Authorization": self._login, "Content-Type": "application/json"}
        encoded = None if body is None else json.dumps(body)
        try:
            connection.request(verb, f"{self._path}/api/{resource}", encoded, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as exc:
            raise BrokerUnavailable(f"no management API at {self._safe_uri}: {exc}") from exc
        finally:
            connection.close()
        if answer.status >= 300:
            raise BrokerRefused(
                f"{verb} {resource} at {self._safe_uri}: {answer.status} {answer.reason}"
            )
        return _decoded(text)


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as exc:
        raise BrokerUnavailable("what answers is not RabbitMQ's management API") from exc


def _quoted(name: str) -> str:
    return quote(name, safe="")


class RabbitConfig(dict[str, Any]):
    """A configuration with the broker at `uri`, which can be asked for more.

    `config["vhost"]` and `config["username"]` are there for Nameko's users. They are no items:
    the configuration has no such keys, and whoever copies it shall not be warned of them.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(AMQP_URI=uri)

    def __missing__(self, key: str) -> str:
        parts = urlsplit(first_of(self["AMQP_URI"]))
        if key == "vhost":
            return unquote(parts.path[1:]) or "/"
        if key == "username":
            return _username(parts)
        raise KeyError(key)


def make_vhost(uri: str, api_uri: str) -> tuple[str, Callable[[], None]]:
    """Make a virtual host; return `uri` with it in place of its own, and what deletes it."""
    client, vhost = Client(api_uri), f"rpcnode-test-{secrets.token_hex(8)}"
    parts = urlsplit(first_of(uri))
    client.create_vhost(vhost)
    for username in {client.username, _username(parts)}:
        client.set_vhost_permissions(vhost, username)
    return parts._replace(path=f"/{vhost}").geturl(), lambda: client.delete_vhost(vhost)


def check_reachable(uri: str) -> None:
    """Raise BrokerUnavailable when nobody listens where `uri` says."""
    parts = urlsplit(first_of(uri))
    port = parts.port or PORTS.get(parts.scheme, DEFAULT_PORT)
    try:
        socket.create_connection((parts.hostname or "localhost", port), TIMEOUT).close()
    except OSError as exc:
        raise BrokerUnavailable(f"no RabbitMQ at {mask_uri(uri)}: {exc}") from exc


def _username(parts: SplitResult) -> str:
    return unquote(parts.username or "guest")


def find_api(uri: str) -> str | None:
    """Return the URI of the management API beside the broker at `uri`; None if none lets us in."""
    parts = urlsplit(first_of(uri))
    credentials = parts.netloc.rpartition("@")[0] or "guest:guest"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    api_uri = f"http://{credentials}@{host or 'localhost'}:{API_PORT}"
    try:
        Client(api_uri).get_all_vhosts()
    except BrokerError:
        return None
    return api_uri


def first_of(uri: str) -> str:
    """Return the first of the alternates in a failover URI."""
    return uri.partition(";")[0]
