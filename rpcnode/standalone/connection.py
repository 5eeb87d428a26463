"""AMQP connections of the I/O thread.

They are made by a thread that may wait, and that is py-amqp's way. From `start_batching` on,
they belong to the I/O thread: nothing waits, and what opens a channel is written at once, with
what follows it.
"""

from collections.abc import Callable
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import error_for_code
from kombu.transport import pyamqp

from rpcnode.amqp.framed_channel import FramedChannel
from rpcnode.amqp.framing import FramedConnection
from rpcnode.standalone.sockets import ThreadSocket, ThreadTlsSocket


class ThreadChannel(FramedChannel):
    """A channel that nobody waits for once its connection is the I/O thread's."""

    def open(self) -> Any:
        """Open the channel; RabbitMQ takes what follows in any case."""
        if not self.connection.is_batching:
            return super().open()
        return self.send_method(spec.Channel.Open, "s", ("",))

    def confirm_select(self, nowait: bool = False) -> Any:
        """Have the broker confirm what is published."""
        return super().confirm_select(nowait or self.connection.is_batching)

    def delete_queue(self, name: str, then: Callable[[], object]) -> None:
        """Delete a queue, and call `then` when that is done."""
        self._pending[spec.Queue.DeleteOk] = lambda *_answer: then()
        self.send_method(spec.Queue.Delete, "Bsbbb", (0, name, False, False, False))

    def _on_close(self, code: int, text: str, class_id: int, method_id: int) -> None:
        if self.connection.is_batching:
            super()._on_close(code, text, class_id, method_id)
            return
        self.send_method(spec.Channel.CloseOk)
        self.connection.closed_by_broker.add(self.channel_id)
        self.collect()
        # Whoever waits for an answer reads it, and gets the error.
        raise error_for_code(code, text, (class_id, method_id), amqp.ChannelError)


class ThreadConnection(FramedConnection):
    """A connection that is read and written by one thread."""

    Channel = ThreadChannel

    def Transport(  # noqa: N802 (py-amqp's name)
        self, host: str, connect_timeout: float, ssl: Any, *_timeouts: Any, **options: Any
    ) -> Any:
        """Return the socket; py-amqp's hook.

        `ssl` is false, or a callable that returns a `TlsSession`.
        """
        if ssl:
            return ThreadTlsSocket(host, ssl, connect_timeout=connect_timeout, **options)
        return ThreadSocket(host, connect_timeout=connect_timeout, **options)


class Transport(pyamqp.Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's way to such connections."""

    Connection = ThreadConnection
