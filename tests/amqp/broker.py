"""What the tests of the messaging core share: links and messages."""

import itertools
from contextlib import contextmanager
from time import monotonic
from urllib.parse import urlsplit

import kombu

from rpcnode.amqp.connection import Link
from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.concurrency import sleep
from tests.fast_path import FAST_PATH

_ids = itertools.count(1)


def wait_until(condition, seconds=10):
    """Wait until `condition()` is true; fail when that takes too long."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "the condition did not come true"
        sleep(0.002)


@contextmanager
def linked(uri, **settings):
    """Give an open link, and close it."""
    options = {"reconnect_max_delay": 1, "fast_path": FAST_PATH, **settings}
    link = Link(BrokerSettings(uri, **options), "tests'")
    link.open()
    try:
        yield link
    finally:
        link.close()


def outgoing(key, body=b"body", exchange="", headers=None, mandatory=True, **properties):
    """Return a message with an id of its own."""
    identified = {"message_id": f"id-{next(_ids)}", **properties}
    return Outgoing(exchange, key, body, identified, headers or {}, mandatory)


def with_credentials(uri, credentials):
    """Return `uri` with another `user:password`."""
    parts = urlsplit(uri)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{credentials}@{address}").geturl()


def declared(link, name, **options):
    """Declare a durable queue; return its name."""
    channel = link.channel(10)
    kombu.Queue(name, durable=True, **options)(channel).declare()
    channel.close()
    return name


def count(link, name):
    """Return how many messages are ready in a queue."""
    channel = link.channel(10)
    found = channel.queue_declare(name, passive=True).message_count
    channel.close()
    return found


def cut(link):
    """Break the connection, as a network does; return once the link has noticed."""
    generation = link.generation
    link.abort("a test cuts it")
    wait_until(lambda: not link.is_connected or link.generation > generation)
