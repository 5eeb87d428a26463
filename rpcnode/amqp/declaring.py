"""Declaring exchanges and queues, and what it means when the broker does not let us."""

import logging
from typing import Any

from amqp.exceptions import AMQPError, ChannelError, NotFound

from rpcnode.exceptions import BrokerRefused, ConnectionLost

logger = logging.getLogger(__name__)


def declare(channel: Any, *entities: Any) -> None:
    """Declare kombu entities with what they are bound to.

    Raises BrokerRefused, naming the entity, when it exists with other arguments or may not
    be declared.
    """
    for entity in entities:
        try:
            entity(channel).declare()
        except ChannelError as exc:
            raise refused(entity, exc) from exc
        except (AMQPError, OSError) as exc:
            raise ConnectionLost(f"declaring {entity.name!r}: {exc}") from exc


def refused(entity: Any, cause: Exception) -> BrokerRefused:
    """Return the error for an entity that the broker does not let us have."""
    kind = type(entity).__name__.lower()
    text = f"the broker refuses the {kind} {entity.name!r}: {cause}"
    if "inequivalent arg" in str(cause):
        hint = " (QUEUE_TYPE sets some of them)" if kind == "queue" else ""
        text += (
            f". The {kind} exists with other arguments{hint}: declare it as it is, give ours "
            "another name, or delete the old one once it is empty"
        )
    return BrokerRefused(text)


def is_there(channel: Any, queue: str) -> bool:
    """Return whether the broker has a queue of that name, whatever its arguments are.

    The channel is closed by the broker when it has none, or does not tell.
    """
    try:
        channel.queue_declare(queue, passive=True)
    except NotFound:
        return False
    except ChannelError as exc:
        logger.debug("looking for queue %r: %s", queue, exc)
    return True
