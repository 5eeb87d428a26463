"""How a broker is reached: from settings to a connection that kombu has yet to establish."""

from collections.abc import Callable
from math import ceil
from typing import Any

import kombu

from rpcnode.amqp.settings import BrokerSettings, register_transports
from rpcnode.concurrency import socket


def kombu_connection(
    settings: BrokerSettings,
    on_blocked: Callable[[str], object],
    on_unblocked: Callable[[], object],
) -> kombu.Connection:
    """Return a connection that is not established yet.

    The callbacks are called, by its reader, when a RabbitMQ takes no messages for a while.
    """
    register_transports()
    options = dict(settings.transport_options)
    if settings.is_amqp:
        options.update(on_blocked=on_blocked, on_unblocked=on_unblocked)
        options["socket_settings"] = _socket_settings(options.get("socket_settings", {}))
    return kombu.Connection(
        settings.kombu_uri(),
        connect_timeout=settings.connect_timeout,
        heartbeat=ceil(settings.heartbeat or 0),  # AMQP knows whole seconds
        ssl=settings.ssl or False,
        login_method=settings.login_method,
        transport_options=options,
    )


def _socket_settings(chosen: dict[int, Any]) -> dict[int, Any]:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return chosen
    # py-amqp's default lets the kernel cut a connection that a busy broker pauses for a second.
    return {socket.TCP_USER_TIMEOUT: 0, **chosen}
