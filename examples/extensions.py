"""A transport of one's own: lines of text over TCP.

A client sends `word argument argument...` and reads one line: `ok result` or `error reason`.
"""

import socket
from contextlib import suppress
from functools import partial
from queue import Queue

from rpcnode.exceptions import ContainerBeingKilled, IncorrectSignature
from rpcnode.extensions import (
    DependencyProvider,
    Entrypoint,
    ProviderCollector,
    SharedExtension,
)
from rpcnode.rpc import rpc

LONGEST = 1000  # characters of a line


class LineServer(ProviderCollector, SharedExtension):
    """Listens on LINE_ADDRESS (`host:port`), once for all entrypoints of a container."""

    listener = None

    def setup(self):
        self.entrypoints = {}
        address = self.container.config.get("LINE_ADDRESS", "localhost:7000")
        host, _, port = address.rpartition(":")
        self.listener = socket.create_server((host, int(port)))
        self.address = "{}:{}".format(*self.listener.getsockname())

    def start(self):
        self.acceptor = self.container.spawn_managed_thread(self.accept)

    def stop(self):
        super().stop()  # waits until no entrypoint uses this any more
        self.acceptor.kill()
        self.listener.close()

    def kill(self):
        if self.listener is not None:  # it is when setup fails
            self.listener.close()

    def accept(self):
        while True:
            connection, _peer = self.listener.accept()
            self.container.spawn_managed_thread(partial(self.serve, connection))

    def serve(self, connection):
        # An error in a managed thread kills the container: a peer must not be able to do that.
        with suppress(OSError), connection, connection.makefile(errors="replace") as lines:
            while (line := lines.readline(LONGEST)).endswith("\n"):
                connection.sendall(self.answer(line).encode() + b"\n")

    def answer(self, line):
        word, *arguments = line.split() or [""]
        entrypoint = self.entrypoints.get(word)
        if entrypoint is None:
            return f"error unknown word {word!r}"
        return entrypoint.fire(arguments)


class LineEntrypoint(Entrypoint):
    """Fires a method for each line that begins with `word`."""

    server = LineServer()

    def __init__(self, word, **options):
        super().__init__(**options)
        self.word = word

    def setup(self):
        self.server.register_provider(self)
        self.server.entrypoints[self.word] = self

    def stop(self):
        self.server.entrypoints.pop(self.word, None)
        self.server.unregister_provider(self)

    def fire(self, arguments):
        """Run the method in a worker; return the line that tells how it went."""
        answers = Queue()
        try:
            self.check_signature(arguments, {})
            handle_result = partial(self.handle_result, answers)
            self.container.spawn_worker(self, arguments, {}, handle_result=handle_result)
        except (IncorrectSignature, ContainerBeingKilled) as exc:
            return f"error {exc}"
        return answers.get()

    def encode_result(self, worker_ctx, result):
        text = str(result)
        if "\n" in text:
            raise ValueError("a result must fit into one line")
        return text

    def handle_result(self, answers, worker_ctx, result, exc_info):
        if exc_info is None:
            answers.put(f"ok {worker_ctx.encoded_result}")
        else:
            answers.put(f"error {exc_info[0].__name__}")
        return result, exc_info


line = LineEntrypoint.decorator


class LineError(Exception):
    """Raised when the answer to a line is an error."""


class LineClient(DependencyProvider):
    """Injects a function that sends a line to the address under `key` in the configuration."""

    patience = 5  # seconds

    def __init__(self, key):
        self.key = key

    def setup(self):
        host, _, port = self.container.config[self.key].rpartition(":")
        self.address = host, int(port)

    def get_dependency(self, worker_ctx):
        return partial(self.send, worker_ctx)

    def send(self, worker_ctx, *words):
        left = worker_ctx.remaining()  # None where nobody waits
        timeout = self.patience if left is None else min(left, self.patience)
        with socket.create_connection(self.address, timeout) as connection:
            connection.sendall(" ".join(map(str, words)).encode() + b"\n")
            answer = connection.makefile().readline()
        outcome, _, text = answer.rstrip("\n").partition(" ")
        if outcome != "ok":
            raise LineError(text or "the connection was closed")
        return text


class Calculator:
    name = "calculator"

    @line("add")
    def add(self, first, second):
        return int(first) + int(second)


class Accountant:
    name = "accountant"
    calculate = LineClient("CALCULATOR_ADDRESS")

    @rpc
    def total(self, income, interest):
        return int(self.calculate("add", income, interest))
