"""What each process of the run has beside its service: its ledger, and a desk that takes orders.

The desk listens on a port of the loopback interface, which it writes into the run's folder. It
answers each JSON object that comes, a line each, with one.
"""

import gc
import json
import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from rpcnode.concurrency import Event, GreenThread, socket, spawn
from rpcnode.extensions import DependencyProvider, Entrypoint, SharedExtension
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.replies import ReplyListener
from rpcnode.extensions.retry import RetryInfo
from tests.faults.random_run.records import FOLDER, PROCESS, SEED, Records

PAGE = os.sysconf("SC_PAGE_SIZE")


class Desk(SharedExtension):
    """Takes orders, keeps the ledger, and tells how its process is."""

    def setup(self) -> None:
        """Open the ledger."""
        self.folder = Path(os.environ[FOLDER])
        self.process = os.environ[PROCESS]
        # Whoever was killed and started again is another one.
        self.author = f"{self.process}.{os.getpid()}"
        self.records = Records(self.folder, self.author)
        self._work: Event[None] = Event()
        self._orders: dict[str, Callable[..., Any]] = {
            "go": self._go,
            "rest": self._rest,
            "hog": self._hog,
            "state": self._state,
            "address": self._address,
        }

    def start(self) -> None:
        """Listen."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.container.spawn_managed_thread(lambda: self._accept(listener))
        port = self.folder / f"{self.process}.port"
        port.with_suffix(".new").write_text(str(listener.getsockname()[1]))
        port.with_suffix(".new").rename(port)

    def wait_for_work(self) -> None:
        """Wait until the run wants work to be done."""
        self._work.wait()

    def connection_number(self) -> int:
        """Return how many connections for publishing there have been."""
        generation: int = self._extension(Messaging).connection.publishing.generation
        return generation

    def _accept(self, listener: Any) -> None:
        while True:
            connection, _address = listener.accept()
            spawn(self._serve, connection)

    def _serve(self, connection: Any) -> None:
        with suppress(OSError), connection, connection.makefile("rw") as lines:
            for line in lines:
                order = json.loads(line)
                answer = self._orders[order.pop("do")](**order)
                lines.write(json.dumps(answer) + "\n")
                lines.flush()

    def _go(self) -> None:
        self._work.set()

    def _rest(self) -> None:
        if self._work.is_set():
            self._work = Event()

    def _hog(self, seconds: float) -> None:
        """Keep the processor, and so all green threads of the process."""
        end = monotonic() + seconds
        while monotonic() < end:
            pass

    def _state(self) -> dict[str, Any]:
        """Return what must not grow, and what must be nothing at rest."""
        gc.unfreeze()  # `rpcnode run` hides what was there at its start from the collector
        gc.collect()
        objects = gc.get_objects()
        gc.freeze()
        threads = sum(isinstance(each, GreenThread) and not each.dead for each in objects)
        files = list(map(_target, Path("/proc/self/fd").iterdir()))
        return {
            "busy": {**self._messages(), **self._calls(), "workers": self._workers()},
            "sockets": sum(each.startswith("socket:") for each in files),
            "files": len(files),
            "green threads": threads,
            "objects": len(objects),
            "resident": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
        }

    def _workers(self) -> int:
        return sum(lane.running + lane.pending for lane in self.container.lanes)

    def _messages(self) -> dict[str, int]:
        # What these hold is nobody's business but theirs; and whether they let go is the question.
        messaging = self._extension(Messaging)
        publishers = messaging._publishers.values()
        return {
            "unconfirmed": sum(each.unconfirmed for each in publishers),
            "outbox": messaging.outbox._in_flight,
            # What is done, or was lost unstarted, is remembered in case that it comes again.
            "intake": sum(
                not (job.is_done or job.is_unstarted) for job in messaging.intake._running.values()
            ),
            "dead letters": messaging.copies.pending,
        }

    def _calls(self) -> dict[str, int]:
        listener = self._extension(ReplyListener)
        return {} if listener is None else {"calls": listener.pending}

    def _address(self) -> str | None:
        """Return what the replies to this process's calls are addressed to."""
        listener = self._extension(ReplyListener)
        return None if listener is None else listener.address

    def _extension(self, cls: type) -> Any:
        return next((one for one in self.container.extensions if isinstance(one, cls)), None)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # it was that of the listing
        return ""


def seconds_starved() -> float:
    """Return how long this process was ready to run, and the processors were busy with others."""
    try:
        nanoseconds = int(Path("/proc/self/schedstat").read_text().split()[1])
    except OSError:  # this kernel does not tell
        return 0.0
    return nanoseconds / 1e9


class Notes(DependencyProvider):
    """Injects `note(what, **facts)`, which returns all facts.

    These say, too, whether the worker's message was redelivered, or replayed from a dead queue,
    and which attempt it is; how long the process has been starved so far, and which of its
    connections it publishes on.
    """

    desk = Desk()

    def get_dependency(self, worker_ctx: Any) -> Any:
        """Return the function."""
        facts: dict[str, Any] = {}
        if worker_ctx.message is not None:
            facts["redelivered"] = worker_ctx.message.redelivered
            facts["replayed"] = "rpcnode-replayed" in worker_ctx.message.headers
            facts["attempt"] = RetryInfo().get_dependency(worker_ctx).attempt

        def note(what: str, **more: Any) -> dict[str, Any]:
            facts["connection"] = self.desk.connection_number()
            self.desk.records.note(what, starved=seconds_starved(), **{**facts, **more})
            return facts

        return note


class Constantly(Entrypoint):
    """Fires a method again and again, in some green threads, as long as the run wants work.

    The method gets the name of the turn, which no other turn in the run has, and its dice, which
    depend on the run's seed.
    """

    desk = Desk()

    def __init__(self, threads: int) -> None:
        super().__init__(max_workers=threads)
        self.threads = threads

    def setup(self) -> None:
        """Make what a stop needs."""
        self._is_over = False
        self._turns = iter(range(10**9))

    def start(self) -> None:
        """Begin."""
        for _ in range(self.threads):
            self.container.spawn_managed_thread(self._fire)

    def stop(self) -> None:
        """Fire no more; the container waits for the workers."""
        self._is_over = True

    def _fire(self) -> None:
        while True:
            self.desk.wait_for_work()
            if self._is_over:
                return
            done: Event[None] = Event()
            self.lane.submit(partial(self._run, done), done.set)
            done.wait()

    def _run(self, done: Event[None]) -> None:
        try:
            name = f"{self.method_name}-{next(self._turns)}"
            dice = random.Random(f"{os.environ[SEED]} {self.desk.process} {name}")
            self.container.run_worker(self, (f"{self.desk.author}.{name}", dice), {})
        finally:
            done.set()


constantly = Constantly.decorator
