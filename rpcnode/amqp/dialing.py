"""How a broker is reached: from settings to a connection."""

import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from typing import Any

import kombu
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed

from rpcnode.amqp.settings import BrokerSettings, register_transports
from rpcnode.amqp.tls import TlsSession, lasting_reason, make_context
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable, ConfigurationError

_CONNECTION_ERRORS = (OSError, AMQPError)


def dial(
    settings: BrokerSettings,
    on_blocked: Callable[[str], object],
    on_unblocked: Callable[[], object],
    transport_class: type | None = None,
) -> tuple[Any, Any]:
    """Connect to one broker; return the kombu transport and its new connection.

    The callbacks are called, by the connection's reader, when a RabbitMQ takes no messages for a
    while. `transport_class` takes the place of our own transport, which is driven by the hub.
    Raises BrokerUnavailable when another attempt may help, BrokerRefused when the broker and we
    will not come together, ConfigurationError when the address or the options cannot work.
    """
    transport = None
    try:
        connection = kombu_connection(settings, on_blocked, on_unblocked, transport_class)
        transport = connection.transport
        return transport, transport.establish_connection()
    except ConfigurationError:
        raise
    except Exception as exc:  # what it is tells who has to act
        raise _translated(settings, transport, exc) from exc


def kombu_connection(
    settings: BrokerSettings,
    on_blocked: Callable[[str], object],
    on_unblocked: Callable[[], object],
    transport_class: type | None = None,
) -> kombu.Connection:
    """Return a connection that is not established yet; see `dial`."""
    register_transports()
    options = dict(settings.transport_options)
    if settings.is_amqp:
        options.update(on_blocked=on_blocked, on_unblocked=on_unblocked)
        options["fast_path"] = settings.fast_path
        options["socket_settings"] = _socket_settings(options.get("socket_settings", {}))
    connection = kombu.Connection(
        settings.kombu_uri(),
        connect_timeout=settings.connect_timeout,
        heartbeat=ceil(settings.heartbeat or 0),  # AMQP knows whole seconds
        ssl=(not settings.is_amqp and settings.ssl) or False,
        login_method=settings.login_method,
        transport_options=options,
        transport=transport_class,
    )
    if settings.is_amqp:
        if connection.ssl:
            raise ConfigurationError(
                f"{settings.safe_uri}: options of TLS belong into AMQP_SSL, not into the address"
            )
        # Before kombu makes 127.0.0.1 of `localhost`: the certificate has the name.
        connection.ssl = settings.is_encrypted and _tls(settings, connection.hostname)
    return connection


def _tls(settings: BrokerSettings, hostname: str | None) -> Callable[[], TlsSession]:
    options = settings.ssl if isinstance(settings.ssl, Mapping) else {}
    hostname = options.get("server_hostname") or hostname or "localhost"
    return partial(TlsSession, make_context(options), hostname)


def _socket_settings(chosen: dict[int, Any]) -> dict[int, Any]:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        return chosen
    # py-amqp's default lets the kernel cut a connection that a busy broker pauses for a second.
    return {socket.TCP_USER_TIMEOUT: 0, **chosen}


def connection_errors(transport: Any) -> tuple[type[Exception], ...]:
    """Return what means trouble with a connection; other transports than ours have their own."""
    return (*_CONNECTION_ERRORS, *getattr(transport, "connection_errors", ()))


def _translated(settings: BrokerSettings, transport: Any, cause: Exception) -> Exception:
    """Return our error for what went wrong while connecting."""
    broker = settings.safe_uri
    if isinstance(cause, (AccessRefused, NotAllowed)):
        reason = cause.reply_text or cause  # without the numbers before it
        return BrokerRefused(f"the broker {broker} refuses us: {reason}")
    if isinstance(cause, ssl.SSLError) and (reason := lasting_reason(cause)):
        return BrokerRefused(f"cannot use the broker {broker}: {reason}; AMQP_SSL has options")
    if isinstance(cause, connection_errors(transport)):
        return BrokerUnavailable(f"cannot reach the broker {broker} ({_said(cause)})")
    # A ValueError may quote what it could not parse, and that may be the password.
    what = "its address cannot be read" if isinstance(cause, ValueError) else cause
    if not (settings.is_amqp or settings.is_embedded):
        what = f"{what} (is the library of the {settings.scheme} transport installed?)"
    return ConfigurationError(f"cannot use the broker {broker}: {what}")


def _said(error: Exception) -> object:
    return str(error) or type(error).__name__
