"""The broker and the processes of a run, and what can be looked at."""

import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from tests.faults.random_run.actor import PROJECT, Actor, RunFailed, Settings, wait_until
from tests.faults.random_run.records import Records
from tests.management_api import ManagementApi, quoted
from tests.rabbitmq_server import RabbitServer

CAST = {
    "shop-1": "Shop",
    "shop-2": "Shop",
    "audit": "Audit",
    "client-1": "Client",
    "client-2": "Client",
}
SHOP_QUEUE, AUDIT_QUEUE = "rpc-shop", "rpc-audit"
HANDLER_QUEUES = {
    "shop.handle": "evt-client-happened--shop.handle",
    "shop.fail": "evt-client-failing--shop.fail",
    "shop.try_hard": "evt-client-flaky--shop.try_hard",
    "shop.receive": "evt-client-late--shop.receive",
    "audit.hear": "evt-shop-ordered--audit.hear",
    "audit.handle": "evt-client-happened--audit.handle",
    "shop.keep": SHOP_QUEUE,
}
FAILING_QUEUE = HANDLER_QUEUES["shop.fail"]
CONSUMERS = {
    **{queue: 2 if who.startswith("shop") else 1 for who, queue in HANDLER_QUEUES.items()},
    AUDIT_QUEUE: 1,
}
DEAD_QUEUE = f"{FAILING_QUEUE}.dead"
REPLY_QUEUES = "rpc.reply-"
VHOST = "%2F"
API_TIMEOUT = 30.0
REPLAYING = 60.0  # seconds


class Stage:
    """A RabbitMQ of our own, and the actors."""

    def __init__(self, settings: Settings) -> None:
        self.records = Records(settings.folder, "run")
        self.server = RabbitServer()
        self.server.start()
        self.actors: list[Actor] = []
        try:
            for name, service in CAST.items():
                self.actors.append(Actor(name, service, self.server.uri, settings))
            self.api = ManagementApi(self.server.api_uri)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End everything."""
        for actor in self.actors:
            actor.close()
        self.server.stop()

    def start(self) -> None:
        """Start all processes and wait until they are up."""
        for actor in self.actors:
            actor.start()
        for actor in self.actors:
            actor.wait_until_up()

    def actors_of(self, service: str) -> list[Actor]:
        """Return the processes of a service."""
        return [each for each in self.actors if each.service == service]

    @property
    def clients(self) -> list[Actor]:
        """The processes that make the load."""
        return self.actors_of("Client")

    def look(self, path: str) -> Any:
        """Return what the management API answers; it may need a moment after a start."""

        def get() -> list[Any] | None:
            with suppress(OSError):
                return [self.api.request("GET", path)]
            return None

        return wait_until(get, API_TIMEOUT, f"the management API answers {path}")[0]

    def queue(self, name: str) -> str:
        """Return the path of a queue in the management API."""
        return f"queues/{VHOST}/{quoted(name)}"

    def queues(self) -> list[dict[str, Any]]:
        """Return what the broker says of its queues."""
        found: list[dict[str, Any]] = self.look(f"queues/{VHOST}")
        return found

    def connections(self) -> list[str]:
        """Return the names of the broker's connections."""
        return [one["name"] for one in self.look("connections") if "name" in one]

    def channels(self) -> int:
        """Return how many channels are open."""
        return len(self.look("channels"))

    def dead_events(self) -> Counter[str]:
        """Empty the dead queue; return how often it had each event."""
        order = {"count": 100_000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        path = f"{self.queue(DEAD_QUEUE)}/get"
        if DEAD_QUEUE not in [each["name"] for each in self.queues()]:
            return Counter()
        found: Counter[str] = Counter()
        while messages := self.api.request("POST", path, order):
            found.update(one["payload"].strip('"') for one in messages)
        return found

    def replay(self, kill_after: float | None = None) -> None:
        """Replay the dead queue from a process of its own, which may be killed while it does."""
        command = [sys.executable, "-m", "tests.faults.random_run.replay", self.server.uri]
        process = subprocess.Popen([*command, DEAD_QUEUE], cwd=PROJECT)
        try:
            process.wait(REPLAYING if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if kill_after is None:
                raise RunFailed(f"no replay of {DEAD_QUEUE} within {REPLAYING} s") from None
            return
        if process.returncode:
            raise RunFailed(f"replaying {DEAD_QUEUE} ended with status {process.returncode}")

    def states(self) -> dict[str, Any]:
        """Return how each process is."""
        return {actor.name: actor.ask("state") for actor in self.actors}

    def pause(self, seconds: float) -> None:
        """Let things happen for a while."""
        time.sleep(seconds)
