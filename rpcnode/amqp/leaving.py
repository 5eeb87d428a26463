"""Saying goodbye to a broker that may be gone."""

import logging
from collections.abc import Callable
from typing import Any

from amqp.exceptions import AMQPError

logger = logging.getLogger(__name__)


def abandon(channel: Any) -> None:
    """Close a channel without waiting for the broker's answer."""
    quietly(getattr(channel, "start_closing", channel.close))


def quietly(function: Callable[..., object], *args: Any) -> None:
    """Call a function that says goodbye to the broker; its being gone is no error."""
    try:
        function(*args)
    except (AMQPError, OSError) as exc:
        logger.debug("%s: %s", getattr(function, "__name__", function), exc)
