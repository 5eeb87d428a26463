"""A dependency of one's own: a database session for each worker, committed or rolled back."""

import sqlite3
from weakref import WeakKeyDictionary

from rpcnode.contextdata import CallStack, Language
from rpcnode.dependency_providers import Config
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc


class Session(DependencyProvider):
    """Injects a connection to the database that the configuration names under `key`."""

    def __init__(self, key="DATABASE"):
        self.key = key

    def setup(self):
        self.path = self.container.config[self.key]
        self.connections = WeakKeyDictionary()

    def get_dependency(self, worker_ctx):
        connection = self.connections[worker_ctx] = sqlite3.connect(self.path)
        return connection

    def worker_complete(self, worker_ctx, result=None, exc_info=None):
        connection = self.connections[worker_ctx]
        if exc_info is None:
            connection.commit()
        else:
            connection.rollback()

    def worker_teardown(self, worker_ctx):
        self.connections.pop(worker_ctx).close()


class Accounts:
    name = "accounts"
    session = Session()

    @rpc
    def deposit(self, owner, amount):
        self.session.execute("CREATE TABLE IF NOT EXISTS entries (owner, amount)")
        self.session.execute("INSERT INTO entries VALUES (?, ?)", (owner, amount))
        if amount < 0:
            raise ValueError("deposits are above zero")

    @rpc
    def balance(self, owner):
        query = "SELECT coalesce(sum(amount), 0) FROM entries WHERE owner = ?"
        return self.session.execute(query, (owner,)).fetchone()[0]


class Greeter:
    name = "polite_greeter"
    config = Config()
    language = Language()
    call_stack = CallStack()

    @rpc
    def hello(self):
        greetings = self.config["GREETINGS"]
        return greetings.get(self.language, greetings["en"])

    @rpc
    def who_asked(self):
        return self.call_stack[0]
