"""What Nameko's pages show of dependencies and entrypoints of one's own, timers and settings."""

from queue import Queue

import pytest

from rpcnode.dependency_providers import Config
from rpcnode.exceptions import RemoteError
from rpcnode.extensions import DependencyProvider, Entrypoint, SharedExtension
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing.services import entrypoint_hook, entrypoint_waiter
from rpcnode.testing.utils import get_extension
from rpcnode.timer import timer
from rpcnode.utils import get_redacted_args
from tests.hosting import wait_until


class Database:
    """What a library for databases would give: sessions that commit or roll back."""

    def __init__(self):
        self.rows, self.log = [], []

    def session(self):
        self.log.append("open")
        return Session(self)


class Session:
    def __init__(self, database):
        self.database, self.added = database, []

    def add(self, row):
        self.added.append(row)

    def commit(self):
        self.database.rows += self.added
        self.database.log.append("commit")

    def rollback(self):
        self.database.log.append("rollback")

    def close(self):
        self.database.log.append("close")


class DatabaseSession(DependencyProvider):
    """Injects a session for each worker: committed when it succeeds, and closed in any case."""

    def setup(self):
        self.database = self.container.config["DATABASE"]
        self.sessions = {}

    def get_dependency(self, worker_ctx):
        self.sessions[worker_ctx] = self.database.session()
        return self.sessions[worker_ctx]

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        session = self.sessions[worker_ctx]
        if exc_info is None:
            session.commit()
        else:
            session.rollback()

    def worker_teardown(self, worker_ctx):
        self.sessions.pop(worker_ctx).close()


class Ledger:
    name = "ledger"
    session = DatabaseSession()

    @rpc
    def book(self, amount):
        self.session.add(amount)
        if amount < 0:
            raise ValueError(amount)


def test_session_of_a_worker_is_committed_or_rolled_back_and_closed(
    container_factory, memory_config
):
    database = Database()
    container = container_factory(Ledger, {**memory_config, "DATABASE": database})
    container.start()

    with entrypoint_hook(container, "book") as book:
        book(3)
        with pytest.raises(ValueError, match="-1"):
            book(-1)

    assert database.rows == [3]
    assert database.log == ["open", "commit", "close", "open", "rollback", "close"]


class WorkerLog(DependencyProvider):
    """Notes when each worker begins and ends, with its arguments but those that are secret."""

    def setup(self):
        self.lines = self.container.config["LINES"]

    def worker_setup(self, worker_ctx):
        arguments = get_redacted_args(worker_ctx.entrypoint, *worker_ctx.args, **worker_ctx.kwargs)
        self.lines.append(("begin", worker_ctx.entrypoint.method_name, arguments))

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        expected = exc_info and isinstance(exc_info[1], worker_ctx.entrypoint.expected_exceptions)
        self.lines.append(("end", result, expected))


class Accounts:
    name = "accounts"
    log = WorkerLog()

    @rpc(expected_exceptions=PermissionError, sensitive_arguments=("password", "card.number"))
    def login(self, user, password, card=None):
        if password != "plum":
            raise PermissionError(user)
        return "welcome"


def test_secret_arguments_and_expected_errors_are_known_to_dependencies(
    container_factory, memory_config
):
    lines = []
    container = container_factory(Accounts, {**memory_config, "LINES": lines})
    container.start()

    with entrypoint_hook(container, "login") as login:
        login("ada", "plum", card={"number": 1, "name": "Ada"})
        with pytest.raises(PermissionError):
            login("ada", "pear")

    assert [line[0] for line in lines] == ["begin", "end"] * 2
    assert lines[0][2] == {
        "user": "ada",
        "password": "********",
        "card": {"number": "********", "name": "Ada"},
    }
    assert lines[1] == ("end", "welcome", None)
    assert lines[3] == ("end", None, True)


class BuildServer:
    """A service of somebody else's, as a library for it would show it."""

    builds = {"shop": "passed", "desk": "failed"}

    def status(self, project):
        return self.builds[project]


class BuildStatus(DependencyProvider):
    """Injects a function that asks the other service."""

    def setup(self):
        self.server = BuildServer()

    def get_dependency(self, worker_ctx):
        return self.server.status


class Dashboard:
    name = "dashboard"
    status = BuildStatus()
    dashboard = RpcProxy("dashboard")

    @rpc
    def one(self, project):
        return self.status(project)

    @rpc
    def several(self, projects):
        replies = [(each, self.dashboard.one.call_async(each)) for each in projects]
        return {project: reply.result() for project, reply in replies}


def test_answers_of_somebody_elses_service_are_gathered(container_factory, memory_config):
    container = container_factory(Dashboard, memory_config)
    container.start()

    with entrypoint_hook(container, "several") as several:
        assert several(["shop", "desk"]) == {"shop": "passed", "desk": "failed"}
        with pytest.raises(RemoteError, match="KeyError"):
            several(["unknown"])


class Mailbox(SharedExtension):
    """What holds messages elsewhere; a container has it once."""

    def setup(self):
        self.incoming, self.deleted = Queue(), []


class MailboxReceiver(Entrypoint):
    """Fires a method for each message that a thread of its own takes from the mailbox."""

    mailbox = Mailbox()

    def __init__(self, folder, **options):
        super().__init__(**options)
        self.folder = folder

    def start(self):
        self.container.spawn_managed_thread(self.run, identifier="mailbox")

    def run(self):
        while True:
            self.handle_message(self.mailbox.incoming.get())

    def handle_message(self, message):
        def handle_result(worker_ctx, result, exc_info):
            self.mailbox.deleted.append((message, exc_info is None))
            return result, exc_info

        self.container.spawn_worker(
            self,
            (self.folder, message),
            {},
            context_data={"language": "de"},
            handle_result=handle_result,
        )


receive = MailboxReceiver.decorator


class Clerk:
    name = "clerk"

    @receive("inbox")
    def handle(self, folder, message):
        if message == "spam":
            raise ValueError(message)
        return f"{folder}: {message}"


def test_entrypoint_of_ones_own_polls_in_a_thread_and_hears_of_each_result(container_factory):
    container = container_factory(Clerk, {})
    container.start()
    mailbox = get_extension(container, Mailbox)

    with entrypoint_waiter(container, "handle") as handled:
        mailbox.incoming.put("letter")
    mailbox.incoming.put("spam")

    assert handled.get() == "inbox: letter"
    wait_until(lambda: len(mailbox.deleted) == 2)
    assert mailbox.deleted == [("letter", True), ("spam", False)]


def test_timer_ticks_until_the_container_stops(container_factory):
    ticks = []

    class Clock:
        name = "clock"

        @timer(interval=0.02)
        def tick(self):
            ticks.append("tick")

    container = container_factory(Clock, {})
    container.start()
    wait_until(lambda: len(ticks) >= 3)
    container.stop()
    count = len(ticks)

    assert container.entrypoints
    assert len(ticks) == count


class Configured:
    name = "configured"
    config = Config()

    @property
    def is_on(self):
        return self.config.get("IS_ON", False)

    @rpc
    def check(self):
        return self.is_on, self.config["LIMITS"]["top"]


def test_settings_are_injected(container_factory, memory_config):
    container = container_factory(
        Configured, {**memory_config, "IS_ON": True, "LIMITS": {"top": 3}}
    )
    container.start()

    with entrypoint_hook(container, "check") as check:
        assert check() == (True, 3)
