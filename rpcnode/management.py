"""RabbitMQ's management API: what AMQP does not tell, such as which queues there are."""

import base64
import json
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rpcnode.exceptions import BrokerRefused, BrokerUnavailable
from rpcnode.masking import mask_uri

TIMEOUT = 5  # seconds for anything that is asked of the server
API_PORT, TLS_API_PORT = 15672, 15671


class NotThere(BrokerRefused):
    """Raised when what was asked for does not exist (any more)."""


class Management:
    """Talks to the management API at `uri`: `http://user:password@host:15672`.

    What it returns is what the API says. Raises BrokerUnavailable when nobody answers, and
    BrokerRefused, which names the resource, when the answer is no.
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

    def get_exchanges(self, vhost: str) -> list[dict[str, Any]]:
        """Return the exchanges of a virtual host."""
        return self.list(f"exchanges/{quoted(vhost)}")

    def get_queues(self, vhost: str) -> list[dict[str, Any]]:
        """Return the queues of a virtual host."""
        return self.list(f"queues/{quoted(vhost)}")

    def list(self, resource: str) -> list[dict[str, Any]]:
        """Return what there is of a resource, such as `vhosts`."""
        listed: list[dict[str, Any]] = self.ask("GET", resource)
        return listed

    def ask(self, verb: str, resource: str, body: Any = None) -> Any:
        """Return the answer to a request; `body`, too, is what JSON has a form for."""
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
            refusal = NotThere if answer.status == HTTPStatus.NOT_FOUND else BrokerRefused
            raise refusal(f"{verb} {resource} at {self._safe_uri}: {answer.status} {answer.reason}")
        return _decoded(text)


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as exc:
        raise BrokerUnavailable("what answers is not RabbitMQ's management API") from exc


def quoted(name: str) -> str:
    """Return a name as one part of a resource's path."""
    return quote(name, safe="")


def first_of(uri: str) -> str:
    """Return the first of the alternates in a failover URI."""
    return uri.partition(";")[0]


def vhost_of(uri: str) -> str:
    """Return the virtual host that a broker's URI names."""
    return unquote(urlsplit(first_of(uri)).path[1:]) or "/"


def api_beside(uri: str, *, is_encrypted: bool = False) -> str:
    """Return where the management API of the broker at `uri` is, if it is where it usually is.

    It is an encrypted one for `amqps://`, and where `is_encrypted` says that connections to the
    broker are: a password that is hidden there is not to be told here.
    """
    parts = urlsplit(first_of(uri))
    credentials = parts.netloc.rpartition("@")[0] or "guest:guest"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if is_encrypted or parts.scheme == "amqps":
        scheme, port = "https", TLS_API_PORT
    else:
        scheme, port = "http", API_PORT
    return f"{scheme}://{credentials}@{host or 'localhost'}:{port}"
