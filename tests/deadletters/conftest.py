"""Dead letters of a service, on both brokers."""

import pytest

from rpcnode.dead import DeadLetters
from tests.deadletters.broker import Broker
from tests.extensions.conftest import config

__all__ = ["config"]


@pytest.fixture
def broker(config):
    """The test's broker, with the queue `orders` and its dead queue."""
    with Broker(config) as broker:
        yield broker


@pytest.fixture
def dead(config):
    """What a program of an operator has."""
    with DeadLetters(config) as dead:
        yield dead
