"""The embedded broker as a kombu transport: `memory://name`, inside this process.

Connections of one broker name and virtual host share everything, others nothing. What a
consumer receives is handed over by `drain_events`, in the green thread that calls it; there
is no polling. Everything runs in the hub's thread.
"""

import itertools
from time import monotonic, time
from typing import Any

from amqp import Connection as AmqpConnection
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.exceptions import ConnectionForced, RecoverableConnectionError
from kombu.transport import base
from kombu.utils.url import parse_url

from rpcnode.amqp.membroker import Broker, Clock
from rpcnode.amqp.memchannel import Channel
from rpcnode.amqp.mempeer import Peer
from rpcnode.concurrency import Event, call_later, sleep

__all__ = ["Transport", "drop_connections", "reset"]

BATCH = 100  # deliveries that one call of drain_events hands over at most
DEFAULT_NAME = "localhost"


class Transport(base.Transport):  # type: ignore[misc]  # kombu is untyped
    """What kombu asks of a transport."""

    driver_type = "memory"
    driver_name = "memory"
    implements = base.Transport.implements.extend(asynchronous=False, heartbeats=False)
    connection_errors = AmqpConnection.connection_errors
    channel_errors = AmqpConnection.channel_errors
    recoverable_connection_errors = AmqpConnection.recoverable_connection_errors
    recoverable_channel_errors = AmqpConnection.recoverable_channel_errors
    default_connection_params = {"hostname": DEFAULT_NAME}  # noqa: RUF012 (kombu's name)

    def establish_connection(self) -> "Connection":
        """Return a connection to the broker that the client's URI names."""
        return Connection(self.client, _host_for(self.client.hostname, self.client.virtual_host))

    def create_channel(self, connection: "Connection") -> Channel:
        """Return a new channel."""
        return connection.channel()

    def drain_events(self, connection: "Connection", **options: Any) -> None:
        """Hand deliveries over; see `Connection.drain_events`."""
        connection.drain_events(**options)

    def verify_connection(self, connection: "Connection") -> bool:
        """Return whether the connection is usable."""
        return connection.connected

    def close_connection(self, connection: "Connection") -> None:
        """Close the connection."""
        connection.close()

    def _collect(self, connection: "Connection | None") -> None:
        if connection is not None:
            connection.collect()


class Connection:
    """A connection to an embedded broker; one green thread reads it."""

    def __init__(self, client: Any, host: "_Host") -> None:
        self.client = client
        self.channels: dict[int, Channel] = {}
        self.peer = Peer(host.broker, self._wake)
        self._host = host
        self._channel_ids = itertools.count(1)
        self._error: AmqpConnectionError | None = None
        self._wakeup: Event[None] | None = None
        host.connections.append(self)

    @property
    def connected(self) -> bool:
        """Whether it can be used."""
        return self._error is None

    def channel(self) -> Channel:
        """Return a new channel."""
        self._check_open()
        channel = Channel(self, next(self._channel_ids))
        self.channels[channel.channel_id] = channel
        return channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for something to hand over, and call the consumers with a batch of it.

        Raises TimeoutError when nothing came within `timeout` seconds, and the reason when
        the connection is closed.
        """
        inbox = self.peer.inbox
        if inbox and self._error is None:
            sleep(0)  # a loop over this method must let others run, however much there is
        deadline = None if timeout is None else monotonic() + timeout
        while not inbox and self._error is None:
            self._wait(deadline)
        self._check_read()
        for _ in range(min(len(inbox), BATCH)):
            if not inbox:  # a callback has cancelled a consumer
                return
            self._hand_over(inbox.popleft())
            self._check_read()

    def close(self) -> None:
        """Close in order; the reader, if any, gets an error."""
        self.fail(RecoverableConnectionError("the connection was closed"))

    collect = close

    def fail(self, error: AmqpConnectionError) -> None:
        """Close for this reason: the broker takes back what was not acknowledged."""
        if self._error is not None:
            return
        self._error = error
        if self in self._host.connections:
            self._host.connections.remove(self)
        for channel in self.channels.values():
            channel.detach()
        self.peer.close()
        self.peer.inbox.clear()
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()
            self._wakeup = None

    def _wait(self, deadline: float | None) -> None:
        left = None if deadline is None else deadline - monotonic()
        if self._wakeup is None:
            self._wakeup = Event()
        if not self._wakeup.wait(left):
            raise TimeoutError("timed out")

    def _hand_over(self, item: Any) -> None:
        if isinstance(item, tuple):
            consumer, entry = item
            consumer.session.channel.hand_over(consumer, entry)
        else:
            item()

    def _check_read(self) -> None:
        error = self._error
        if error is None:
            return
        # Channels hear of it here, in the reader, as they do with RabbitMQ.
        channels, self.channels = self.channels, {}
        for channel in channels.values():
            channel.announce_loss(error)
        raise error

    def _check_open(self) -> None:
        if self._error is not None:
            raise RecoverableConnectionError(f"the connection is closed: {self._error}")


class _Host:
    """One broker, and who is connected to it."""

    def __init__(self, vhost: str) -> None:
        self.broker = Broker(Clock(monotonic, time, call_later), vhost)
        self.connections: list[Connection] = []


_hosts: dict[tuple[str, str], _Host] = {}  # what connections of one name share, by its nature


def _host_for(name: str | None, vhost: str | None) -> _Host:
    key = (name or DEFAULT_NAME, vhost or "/")
    if key not in _hosts:
        _hosts[key] = _Host(key[1])
    return _hosts[key]


def _key_of(uri: str) -> tuple[str, str]:
    parts = parse_url(uri)
    return parts["hostname"] or DEFAULT_NAME, parts["virtual_host"] or "/"


def reset(uri: str) -> None:
    """Forget the broker that `uri` names, with all that it has.

    Who is still connected to it shares nothing with those who connect from now on.
    """
    host = _hosts.pop(_key_of(uri), None)
    if host is not None:
        host.broker.close()


def drop_connections(uri: str) -> None:
    """Close all connections of a broker by force, as an operator would."""
    host = _hosts.get(_key_of(uri))
    for connection in list(host.connections if host else ()):
        connection.fail(ConnectionForced("CONNECTION_FORCED - Closed via management plugin"))


def count_ready(uri: str) -> int:
    """Return how many messages wait in the queues of a broker."""
    host = _hosts.get(_key_of(uri))
    return 0 if host is None else sum(len(each.ready) for each in host.broker.queues.values())


def count_undone(uri: str) -> int:
    """Return how many messages of a broker its consumers have, or are still to get."""
    host = _hosts.get(_key_of(uri))
    queues = [] if host is None else host.broker.queues.values()
    return sum(
        len(queue.ready) + sum(consumer.pending for consumer in queue.consumers)
        for queue in queues
        if queue.consumers
    )
