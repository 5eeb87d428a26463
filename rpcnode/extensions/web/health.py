"""Whether a process lives, and whether it is ready for work: for whoever watches over it."""

from collections.abc import Callable, Mapping
from typing import Any

from rpcnode.extensions.web.encoding import JSON, encode_json
from rpcnode.extensions.web.reply import Reply

LIVE, READY = "/-/live", "/-/ready"
_NOT_KEPT = ("Cache-Control", "no-store")


class HealthCheck:
    """Answers with 200 as long as `problems` returns nothing, else with 503 and what it says."""

    def __init__(self, path: str, problems: Callable[[], list[str]]) -> None:
        self._path = path
        self._problems = problems

    def __repr__(self) -> str:
        return f"the health check {self._path}"

    def receive(self, exchange: Any, _values: Mapping[str, Any]) -> None:
        """Answer at once, however busy the workers are."""
        problems = self._problems()
        status, text = (503, "not ready") if problems else (200, "ok")
        facts = {"status": text, **({"problems": problems} if problems else {})}
        Reply(status, [*JSON, _NOT_KEPT], encode_json(facts)).send(exchange)
