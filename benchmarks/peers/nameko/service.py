"""The service of the measurements, on Nameko."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

from nameko.extensions import DependencyProvider
from nameko.rpc import rpc
from nameko.runners import run_services

from benchmarks.peers.conversation import read_settings, serve


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
        serve("nameko", "kombu", "amqp", "eventlet", "greenlet")
