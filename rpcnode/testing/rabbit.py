"""RabbitMQ for tests: a fresh virtual host for each, made through the management HTTP API."""

import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from rpcnode.config import mask_uri
from rpcnode.exceptions import BrokerError, BrokerUnavailable
from rpcnode.management import (
    TIMEOUT,
    Management,
    NotThere,
    api_beside,
    first_of,
    quoted,
    vhost_of,
)

__all__ = [
    "Client",
    "NotThere",
    "RabbitConfig",
    "check_reachable",
    "find_api",
    "first_of",
    "fresh_vhost",
    "make_vhost",
    "with_port",
    "with_vhost",
]

PORTS = {"amqps": 5671}
DEFAULT_PORT = 5672


class Client(Management):
    """Talks to the management API at `uri`, and makes what tests need."""

    def get_all_vhosts(self) -> list[dict[str, Any]]:
        """Return all virtual hosts that the user sees."""
        return self.list("vhosts")

    def create_vhost(self, vhost: str) -> None:
        """Make a virtual host, unless it is there."""
        self.ask("PUT", f"vhosts/{quoted(vhost)}")

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host, with all that is in it and all connections to it."""
        self.ask("DELETE", f"vhosts/{quoted(vhost)}")

    def set_vhost_permissions(
        self, vhost: str, username: str, configure: str = ".*", read: str = ".*", write: str = ".*"
    ) -> None:
        """Let a user do this in a virtual host: regular expressions of names, anything at first."""
        permissions = {"configure": configure, "read": read, "write": write}
        self.ask("PUT", f"permissions/{quoted(vhost)}/{quoted(username)}", permissions)

    def get_connections(self) -> list[dict[str, Any]]:
        """Return all connections; the broker lists a new one only after a while."""
        return self.list("connections")

    def delete_connection(self, name: str) -> None:
        """Close a connection from the broker's side."""
        self.ask("DELETE", f"connections/{quoted(name)}")

    def get_queue(self, vhost: str, name: str) -> dict[str, Any]:
        """Return what is known of a queue."""
        queue: dict[str, Any] = self.ask("GET", _queue(vhost, name))
        return queue

    def create_queue(self, vhost: str, name: str, **properties: Any) -> None:
        """Make a queue: `durable`, `auto_delete`, `arguments`."""
        self.ask("PUT", _queue(vhost, name), properties)

    def get_queue_bindings(self, vhost: str, name: str) -> list[dict[str, Any]]:
        """Return the bindings of a queue, the one to the default exchange included."""
        return self.list(f"{_queue(vhost, name)}/bindings")

    def create_queue_binding(self, vhost: str, exchange: str, queue: str, routing_key: str) -> None:
        """Bind a queue to an exchange."""
        path = f"bindings/{quoted(vhost)}/e/{quoted(exchange)}/q/{quoted(queue)}"
        self.ask("POST", path, {"routing_key": routing_key})

    def publish(
        self,
        vhost: str,
        name: str,
        routing_key: str,
        payload: str,
        properties: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Publish a text to an exchange; return `{"routed": ...}`: whether a queue took it."""
        message = {
            "routing_key": routing_key,
            "payload": payload,
            "payload_encoding": "string",
            "properties": dict(properties or {}),
        }
        path = f"exchanges/{quoted(vhost)}/{quoted(name)}/publish"
        answer: dict[str, Any] = self.ask("POST", path, message)
        return answer

    def get_messages(
        self, vhost: str, name: str, count: int = 1, requeue: bool = False
    ) -> list[dict[str, Any]]:
        """Take up to `count` messages out of a queue, or look at them and leave them there."""
        mode = f"ack_requeue_{str(requeue).lower()}"
        wanted = {"count": count, "ackmode": mode, "encoding": "auto"}
        messages: list[dict[str, Any]] = self.ask("POST", f"{_queue(vhost, name)}/get", wanted)
        return messages


def _queue(vhost: str, name: str) -> str:
    return f"queues/{quoted(vhost)}/{quoted(name)}"


class RabbitConfig(dict[str, Any]):
    """A configuration with the broker at `uri`, which can be asked for more.

    `config["vhost"]` and `config["username"]` are there for Nameko's users. They are no items:
    the configuration has no such keys, and whoever copies it shall not be warned of them.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(AMQP_URI=uri)

    def copy(self) -> "RabbitConfig":
        """Return one that can be asked the same."""
        copy = RabbitConfig(self["AMQP_URI"])
        copy.update(self)
        return copy

    def get(self, key: str, default: Any = None) -> Any:
        """Return what `config[key]` is, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __missing__(self, key: str) -> str:
        parts = urlsplit(first_of(self["AMQP_URI"]))
        if key == "vhost":
            return vhost_of(self["AMQP_URI"])
        if key == "username":
            return _username(parts)
        raise KeyError(key)


def make_vhost(uri: str, api_uri: str) -> tuple[str, Callable[[], None]]:
    """Make a virtual host; return `uri` with it in place of its own, and what deletes it."""
    client = Client(api_uri)
    vhost = fresh_vhost(client, uri)
    return with_vhost(uri, vhost), lambda: client.delete_vhost(vhost)


def fresh_vhost(client: Client, uri: str) -> str:
    """Make a virtual host for the users of `client` and of `uri`; return its name."""
    vhost = f"rpcnode-test-{secrets.token_hex(8)}"
    client.create_vhost(vhost)
    for username in {client.username, _username(urlsplit(first_of(uri)))}:
        client.set_vhost_permissions(vhost, username)
    return vhost


def with_vhost(uri: str, vhost: str) -> str:
    """Return the first of the alternates in `uri` with another virtual host."""
    return urlsplit(first_of(uri))._replace(path=f"/{quoted(vhost)}").geturl()


def with_port(uri: str, port: int) -> str:
    """Return the first of the alternates in `uri` with another port."""
    parts = urlsplit(first_of(uri))
    login, at, _host = parts.netloc.rpartition("@")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts._replace(netloc=f"{login}{at}{host or 'localhost'}:{port}").geturl()


def check_reachable(uri: str) -> None:
    """Raise BrokerUnavailable when nobody listens where `uri` says, or when it says nothing."""
    try:
        parts = urlsplit(first_of(uri))
        port = parts.port or PORTS.get(parts.scheme, DEFAULT_PORT)
    except ValueError:  # its text may have a piece of the password
        raise BrokerUnavailable(f"{mask_uri(uri)} is no address of a RabbitMQ") from None
    try:
        socket.create_connection((parts.hostname or "localhost", port), TIMEOUT).close()
    except OSError as exc:
        raise BrokerUnavailable(f"no RabbitMQ at {mask_uri(uri)}: {exc}") from exc


def _username(parts: SplitResult) -> str:
    return unquote(parts.username or "guest")


def find_api(uri: str) -> str | None:
    """Return the URI of the management API beside the broker at `uri`; None if none lets us in."""
    try:
        api_uri = api_beside(uri)
        Client(api_uri).get_all_vhosts()
    except (BrokerError, ValueError):  # a ValueError for what is no address at all
        return None
    return api_uri
