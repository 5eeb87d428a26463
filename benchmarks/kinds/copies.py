"""Messages made by the harness itself, by the wire contract alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import amqp

from benchmarks.process import PeerFailed

SLOWEST = 30.0  # seconds until a queue has what was sent to it

# What a property is for the broker, or is unique for each message, is not copied.
COPIED = (
    "content_type",
    "content_encoding",
    "application_headers",
    "delivery_mode",
    "correlation_id",
    "app_id",
    "type",
)


@contextmanager
def channel(uri: str) -> Iterator[amqp.Channel]:
    """Yield a channel of a connection of our own, closed after the block."""
    parts = urlsplit(uri)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
    )
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.close()


def fill(uri: str, queue: str, count: int) -> None:
    """Put `count` copies of the one message in a queue there, in its place."""
    with channel(uri) as opened:
        opened.confirm_select()
        found = opened.basic_get(queue)
        if found is None:
            raise PeerFailed(f"no event is in the queue {queue!r}")
        opened.basic_ack(found.delivery_tag)
        properties = {name: found.properties[name] for name in COPIED if name in found.properties}
        for number in range(count):
            copy = amqp.Message(found.body, message_id=f"copy-{number}", **properties)
            opened.basic_publish(copy, routing_key=queue)
        _wait_until_it_has(opened, queue, count)


def _wait_until_it_has(opened: amqp.Channel, queue: str, count: int) -> None:
    # The commands of a channel are carried out in their order: the first answer will do, but
    # for what the queue's own process has still to take.
    deadline = time.monotonic() + SLOWEST
    while opened.queue_declare(queue, passive=True).message_count < count:
        if time.monotonic() > deadline:
            raise PeerFailed(f"the queue {queue!r} does not take {count} events")


def declare_silent_service(uri: str) -> None:
    """Declare the queue of the service `silent`, which nobody hosts: requests wait in it."""
    with channel(uri) as opened:
        opened.exchange_declare("nameko-rpc", "topic", durable=True, auto_delete=False)
        opened.queue_declare("rpc-silent", durable=True, auto_delete=False)
        opened.queue_bind("rpc-silent", "nameko-rpc", "silent.*")
