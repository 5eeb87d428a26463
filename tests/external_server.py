"""A RabbitMQ that somebody else runs, named by environment variables."""

import os
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

URI_VARIABLE = "RPCNODE_TEST_AMQP_URI"
API_URI_VARIABLE = "RPCNODE_TEST_API_URI"
API_PORT = 15672
REASON = f"needs a server of its own; {URI_VARIABLE} names one that we only use"


class ExternalServer:
    """Has the interface of `RabbitServer`; a test that would steer the server is skipped."""

    def __init__(self, uri: str, api_uri: str | None = None) -> None:
        self.uri = uri
        self.api_uri = api_uri or _guess_api_uri(uri)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ
    ) -> "ExternalServer | None":
        """Return the server that `RPCNODE_TEST_AMQP_URI` names, or None where it is not set."""
        uri = environment.get(URI_VARIABLE)
        return cls(uri, environment.get(API_URI_VARIABLE)) if uri else None

    @property
    def pid(self) -> NoReturn:
        """Skip the test: processes of others are not ours to touch."""
        pytest.skip(REASON)

    def ctl(self, *args: str) -> NoReturn:
        """Skip the test: there is no way to run `rabbitmqctl` there."""
        pytest.skip(REASON)

    def restart(self) -> NoReturn:
        """Skip the test: the server is not ours to restart."""
        pytest.skip(REASON)

    halt = resume = restart


def _guess_api_uri(uri: str) -> str:
    parts = urlsplit(uri)
    credentials = parts.netloc.rpartition("@")[0] or "guest:guest"
    return f"http://{credentials}@{parts.hostname or '127.0.0.1'}:{API_PORT}"
