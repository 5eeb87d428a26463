"""Taking one message out of a queue: for tests and tools, which do not consume."""

import queue
from collections.abc import Sequence
from time import monotonic
from typing import Any

import kombu
from amqp.exceptions import AMQPError, ChannelError

from rpcnode.amqp.connection import Link
from rpcnode.amqp.consumer import abandon, refused
from rpcnode.concurrency import sleep
from rpcnode.exceptions import ConnectionLost

INTERVAL = 0.02  # seconds between two looks
ANSWER_TIME = 5.0  # seconds for a connection to come back


def fetch(
    link: Link,
    name: str,
    *,
    ack: bool = True,
    timeout: float | None = 0,
    accept: Sequence[str] | None = None,
) -> Any:
    """Return the next message of a queue as kombu has it: `payload`, `headers`, `properties`.

    It is taken out, or left there when not to `ack`. `accept` are names or content types that
    kombu may decode, JSON alone if not given. Raises `queue.Empty` when none has come within
    `timeout` seconds (None: no limit), BrokerRefused when there is no such queue,
    BrokerUnavailable or ConnectionLost when the connection is gone.
    """
    give_up = None if timeout is None else monotonic() + timeout
    while True:
        message = _fetch_now(link, name, ack, accept)
        if message is not None:
            return message
        if give_up is not None and monotonic() >= give_up:
            raise queue.Empty(f"no message came into queue {name!r} within {timeout} seconds")
        sleep(INTERVAL)


def _fetch_now(link: Link, name: str, ack: bool, accept: Sequence[str] | None) -> Any:
    # A channel of its own for each look: what was asked before has two possible answers, and
    # the channel still waits for the other one.
    channel = link.channel(ANSWER_TIME)
    entity = kombu.Queue(name, channel=channel)
    try:
        message = entity.get(no_ack=False, accept=accept)
        if message is not None and ack:
            message.ack()
        elif message is not None:
            message.requeue()
    except ChannelError as exc:
        raise refused(entity, exc) from exc
    except (AMQPError, OSError) as exc:
        raise ConnectionLost(f"looking into queue {name!r}: {exc}") from exc
    finally:
        abandon(channel)
    return message
