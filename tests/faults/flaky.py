"""A service that fails often, and writes down each run, for tests that kill it.

It runs in processes of its own; the file is named by the environment variable LEDGER.
"""

import random

from rpcnode.concurrency import sleep
from rpcnode.events import event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.retry import Fixed, Retry, RetryInfo
from tests.faults.ledger import note

ATTEMPTS = 4
FAILING = 0.6  # of all runs


class Redelivered(DependencyProvider):
    """Injects whether somebody may have begun with the message before."""

    def get_dependency(self, worker_ctx):
        return worker_ctx.message.redelivered


class Flaky:
    """Notes when it begins with a message, and when it is done."""

    name = "flaky"
    info = RetryInfo()
    redelivered = Redelivered()

    @event_handler("caller", "happened", retry=Retry(ATTEMPTS, Fixed(0.3)))
    def handle(self, number):
        note(f"begun {number} {self.info.attempt} {self.redelivered:d}")
        sleep(random.uniform(0, 0.1))
        if random.random() < FAILING:
            raise OSError("flaky")
        note(f"done {number} {self.info.attempt} {self.redelivered:d}")
