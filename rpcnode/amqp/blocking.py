"""AMQP connections for a program that does one thing at a time: whoever asks, waits.

They need no hub and no thread. What is read are whole messages, one after the other, so that as
much is in memory as was asked for; properties keep the bytes that they came in, for those who
pass a message on as it is.
"""

from collections import deque
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import error_for_code
from amqp.serialization import dumps
from amqp.transport import TCPTransport
from kombu.transport import pyamqp

from rpcnode.amqp.dialing import dial
from rpcnode.amqp.encrypting import EncryptedSocket
from rpcnode.amqp.framed_channel import FramedChannel
from rpcnode.amqp.framing import FramedConnection
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.amqp.stock import METHOD_FRAME, EncodedMessage
from rpcnode.exceptions import BrokerError, BrokerUnavailable

_HEADER_START = 12  # class, weight and the size of the body stand before the properties


class KeptProperties(dict[str, Any]):
    """Properties with the bytes that they came in; `problem` is why these could not be read."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self.encoded = encoded
        self.problem: Exception | None = None


class _KeepingCodec:
    """A connection's codec, but that it keeps the bytes of properties."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self.write_publish = codec.write_publish
        self.write_ack = codec.write_ack
        self.read_deliver = codec.read_deliver
        self.read_delivery = codec.read_delivery
        self.read_ack = codec.read_ack

    def decode_properties(self, header: bytes) -> KeptProperties:
        """Return the properties; a stranger's that cannot be read are no reason to stop."""
        properties = KeptProperties(header[_HEADER_START:])
        try:
            properties.update(self._codec.decode_properties(header))
        except Exception as exc:  # whatever a stranger has sent
            properties.problem = exc
        return properties


class Channel(FramedChannel):
    """A channel whose methods read until their answer has come.

    Messages that were asked for (`ask`) wait in `got`, None for an empty queue. An error of the
    broker is raised by whatever reads.
    """

    def __init__(self, connection: Any, channel_id: Any = None, **options: Any) -> None:
        self.got: deque[Any] = deque()
        super().__init__(connection, channel_id, **options)

    def wait(
        self, method: Any, callback: Any = None, timeout: Any = None, returns_tuple: bool = False
    ) -> Any:
        """Wait for the answer to a method; TimeoutError when it does not come."""
        timeout = self.connection.answer_timeout if timeout is None else timeout
        return super().wait(method, callback, timeout, returns_tuple)

    def ask(self, queue: str) -> None:
        """Ask for a message of a queue, without waiting for it."""
        self.send_method(spec.Basic.Get, "Bsb", (0, queue, False))

    def publish_encoded(self, address: tuple[str, str], properties: bytes, body: bytes) -> None:
        """Send a mandatory message whose properties are encoded already."""
        exchange, routing_key = address
        arguments = dumps("Bssbb", (0, exchange, routing_key, True, False))
        self.connection.frame_writer(
            METHOD_FRAME,
            self.channel_id,
            spec.Basic.Publish,
            arguments,
            EncodedMessage(body, properties),
        )

    def dispatch_method(self, method: Any, payload: bytes, content: Any) -> None:
        """Take what the broker sends; called by whatever reads."""
        if self.is_closing or method not in (spec.Basic.GetOk, spec.Basic.GetEmpty):
            super().dispatch_method(method, payload, content)
        elif content is None:
            self.got.append(None)
        else:
            content.delivery_info = _read_get_ok(payload)
            self.got.append(content)

    def _on_close(self, code: int, text: str, class_id: int, method_id: int) -> None:
        self.send_method(spec.Channel.CloseOk)
        self.connection.closed_by_broker.add(self.channel_id)
        self.collect()
        if not self.is_closing:
            raise error_for_code(code, text, (class_id, method_id), amqp.ChannelError)


def _read_get_ok(payload: bytes) -> dict[str, Any]:
    """Return what stands before a message; names of strangers need not be UTF-8."""
    texts, offset = [], 13  # method, tag, whether it is redelivered
    for _ in range(2):
        end = offset + 1 + payload[offset]
        texts.append(payload[offset + 1 : end].decode(errors="replace"))
        offset = end
    return {
        "delivery_tag": int.from_bytes(payload[4:12], "big"),
        "redelivered": bool(payload[12]),
        "exchange": texts[0],
        "routing_key": texts[1],
    }


class Connection(FramedConnection):
    """A connection that is read by whoever waits; `answer_timeout` is for how long, in seconds."""

    Channel = Channel
    answer_timeout: float = 30

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.codec = _KeepingCodec(self.codec)

    def Transport(  # noqa: N802 (py-amqp's name)
        self, host: str, connect_timeout: float, ssl: Any, *_timeouts: Any, **options: Any
    ) -> Any:
        """Return the socket; py-amqp's hook."""
        if not ssl:
            return TCPTransport(host, connect_timeout=connect_timeout, **options)
        return EncryptedSocket(host, make_session=ssl, connect_timeout=connect_timeout, **options)

    def wait(
        self, method: Any, callback: Any = None, timeout: Any = None, returns_tuple: bool = False
    ) -> Any:
        """Wait for the answer to a method of the connection; TimeoutError when it does not come."""
        timeout = self.answer_timeout if timeout is None else timeout
        return super().wait(method, callback, timeout, returns_tuple)


class Transport(pyamqp.Transport):  # type: ignore[misc]  # kombu is untyped
    """kombu's way to such connections."""

    Connection = Connection


def connect(settings: BrokerSettings) -> tuple[Any, BrokerSettings]:
    """Connect to the first broker that lets us in; return its connection, and which it is.

    Raises what the last of them says: BrokerUnavailable or BrokerRefused; ConfigurationError for
    an address that cannot work.
    """
    error: BrokerError = BrokerUnavailable(f"there is no broker in {settings.safe_uri!r}")
    for broker in settings.alternates():
        transport_class: type | None = Transport if broker.is_amqp else None
        try:
            _transport, driver = dial(broker, _ignore, _ignore, transport_class)
        except BrokerError as exc:
            error = exc
        else:
            return driver, broker
    raise error


def _ignore(*_reason: str) -> None:
    """Hear that the broker takes no messages for a while: whoever publishes waits for that."""
