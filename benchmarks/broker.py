"""The RabbitMQ that all peers are measured with: the same settings, a virtual host for each."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.external_server import ExternalServer
from tests.management_api import ManagementApi
from tests.rabbitmq_server import CONFIG, RabbitServer, with_vhost


class Broker:
    """A server to measure with; `pid` is None where its process is not ours to see."""

    def __init__(self, server: RabbitServer | ExternalServer, pid: int | None) -> None:
        self.pid = pid
        self._server = server
        self._api = ManagementApi(server.api_uri)

    @contextmanager
    def virtual_host(self) -> Iterator[str]:
        """Yield the URI of a fresh virtual host: nobody finds what another left behind."""
        name = f"bench-{secrets.token_hex(4)}"
        self._api.create_vhost(name)
        try:
            yield with_vhost(self._server.uri, name)
        finally:
            self._api.delete_vhost(name)

    def facts(self) -> dict[str, Any]:
        """Return what it is, and how it is set."""
        overview = self._api.request("GET", "overview")
        facts = {
            "rabbitmq": overview["rabbitmq_version"],
            "erlang": overview["erlang_version"],
            "rates_mode": overview["rates_mode"],
        }
        if self.pid is not None:
            facts["erlang_options"] = erlang_options(self.pid)
            facts["rabbitmq_config"] = " ".join(CONFIG.split())
        return facts


def erlang_options(pid: int) -> str:
    """Return the options of the virtual machine that a process runs on: those before `--`."""
    words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    end = words.index("--") if "--" in words else len(words)
    return " ".join(words[1:end])


@contextmanager
def broker() -> Iterator[Broker]:
    """Yield a broker: the one that the environment names, else one of our own."""
    external = ExternalServer.from_environment()
    if external is not None:
        yield Broker(external, None)
        return
    server = RabbitServer()
    server.start()
    try:
        yield Broker(server, server.pid)
    finally:
        server.stop()
