"""The service of the measurements, on rpcnode."""
# ruff: noqa: E402 (the patch comes first)

from rpcnode.concurrency import monkey_patch

monkey_patch()

from benchmarks.peers.conversation import read_settings, serve
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc
from rpcnode.runners import run_services


class Answer(DependencyProvider):
    """Gives a worker what it answers with."""

    def get_dependency(self, worker_ctx):
        """Return a function that gives back its argument."""
        return lambda value: value


class Bench:
    """Answers with what it was given."""

    name = "bench"
    answer = Answer()

    @rpc
    def echo(self, value):
        """Return `value`."""
        return self.answer(value)


if __name__ == "__main__":
    with run_services(read_settings()["config"], Bench):
        serve("rpcnode", "kombu", "amqp", "eventlet", "greenlet")
