"""What a message costs to encode and to decode: by hand, and in py-amqp's way.

`python -m benchmarks.micro.codec` prints microseconds of CPU per message. Both ways run in
turns, in one process, on the same messages; the best of their rounds counts, because all that
other programs do makes a round longer. What is measured is the whole way through the frame loop
to the consumer's callback, and from the message to the bytes that are sent. No broker is needed.
"""

from collections import deque
from collections.abc import Callable
from time import process_time
from typing import Any

from amqp.serialization import dumps

from rpcnode.amqp.channel import Channel
from rpcnode.amqp.message import Delivery, Outgoing
from rpcnode.amqp.transport import Connection

ROUNDS = 15
MESSAGES = 500  # a round has so many, each another one
CONSUMER = "rpcnode-1"
DELIVER = b"\0\x3c\0\x3c"
PLAIN = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 1}


class Socket:
    """Keeps what was written last: to keep everything would measure the memory."""

    connected = True

    def __init__(self) -> None:
        self.written: deque[bytes] = deque(maxlen=8)

    def write(self, data: Any) -> None:
        """Take what would be sent; py-amqp lends a view of its buffer."""
        self.written.append(bytes(data))

    def start_batching(self) -> bytes:
        """Return what was read ahead: nothing."""
        return b""


def connected(*, fast_path: bool) -> Any:
    """Return a connection to nobody, with channel 1 open."""
    connection = Connection("localhost:1", fast_path=fast_path)
    connection.transport = socket = Socket()
    connection.on_inbound_frame = connection.frame_handler_cls(
        connection, connection.on_inbound_method
    )
    connection.frame_writer = connection.frame_writer_cls(connection, socket)
    connection.start_reading(object())
    Channel(connection, 1).is_open = True
    return connection


def request(number: int) -> Outgoing:
    """Return a call of `maths.add`, as a worker sends it."""
    message_id = f"0123456789abcdef-{number:x}"
    properties = {
        **PLAIN,
        "message_id": message_id,
        "timestamp": 1_764_000_000,
        "app_id": "caller",
        "reply_to": "7a3b2c1d-0000-4000-8000-123456789abc",
        "correlation_id": message_id,
        "expiration": "30000",
    }
    headers = {
        "nameko.call_id_stack": [f"caller.method.0123456789abcdef-{number:x}"],
        "rpcnode-timeout-ms": 30_000,
        "rpcnode-deadline": 1_764_000_030_000,
    }
    body = b'{"args": [1, 2], "kwargs": {}}'
    return Outgoing("nameko-rpc", "maths.add", body, properties, headers, mandatory=True)


def reply(number: int) -> Outgoing:
    """Return the reply to that call."""
    properties = {
        **PLAIN,
        "message_id": f"fedcba9876543210-{number:x}",
        "timestamp": 1_764_000_000,
        "app_id": "maths",
        "correlation_id": f"0123456789abcdef-{number:x}",
    }
    body = b'{"result": 3, "error": null}'
    key = "7a3b2c1d-0000-4000-8000-123456789abc"
    return Outgoing("nameko-rpc", key, body, properties, {}, mandatory=True)


def large_reply(number: int) -> Outgoing:
    """Return a reply of 100 kB."""
    message = reply(number)
    message.body = b"x" * 100_000
    return message


def publishing(connection: Any, messages: list[Outgoing]) -> Callable[[], None]:
    """Return what publishes all messages."""
    channel = connection.channels[1]

    def publish() -> None:
        for message in messages:
            channel.publish(message)

    return publish


def delivering(connection: Any, messages: list[Outgoing]) -> Callable[[], None]:
    """Return what reads the deliveries of all messages, in pieces as they come from a socket."""
    channel = connection.channels[1]
    channel.callbacks[CONSUMER] = lambda content: Delivery(content, "queue", lambda *_args: None)
    stream = b"".join(delivered(message, tag) for tag, message in enumerate(messages, 1))
    pieces = [stream[start : start + 65_536] for start in range(0, len(stream), 65_536)]

    def read() -> None:
        reads = iter(pieces)
        connection.transport.receive = lambda _size: next(reads)
        for _ in pieces:
            connection.drain_events()

    return read


def delivered(message: Outgoing, tag: int) -> bytes:
    """Return the frames of a delivery of `message`."""
    connection = connected(fast_path=False)
    connection.channels[1].publish(message)
    published = b"".join(connection.transport.written)
    method_end = 8 + int.from_bytes(published[3:7])
    parts = (CONSUMER, tag, False, message.exchange, message.routing_key)
    arguments: bytes = DELIVER + dumps("sLbss", parts)
    size = len(arguments).to_bytes(4)
    return b"\1\0\1" + size + arguments + b"\xce" + published[method_end:]


def acking(connection: Any, messages: list[Outgoing]) -> Callable[[], None]:
    """Return what acks as many deliveries as there are messages."""
    channel = connection.channels[1]

    def ack() -> None:
        for tag in range(len(messages)):
            channel.basic_ack(tag)

    return ack


def best(runs: list[Callable[[], None]]) -> list[float]:
    """Return the microseconds of CPU per message of each, the best of all rounds."""
    times: list[list[float]] = [[] for _ in runs]
    for number in range(ROUNDS):
        order = range(len(runs)) if number % 2 else reversed(range(len(runs)))
        for index in order:
            began = process_time()
            runs[index]()
            times[index].append(process_time() - began)
    return [min(each) / MESSAGES * 1e6 for each in times]


CASES = (
    ("publish a request", publishing, request),
    ("publish a reply", publishing, reply),
    ("publish a reply of 100 kB", publishing, large_reply),
    ("deliver a request", delivering, request),
    ("deliver a reply", delivering, reply),
    ("deliver a reply of 100 kB", delivering, large_reply),
    ("ack", acking, reply),
)


def main() -> None:
    """Measure, and print a table."""
    print(f"{'µs of CPU per message':28}{'by hand':>10}{'py-amqp':>10}{'ratio':>8}")
    for label, make, message in CASES:
        messages = [message(number) for number in range(MESSAGES)]
        ways = [connected(fast_path=fast_path) for fast_path in (True, False)]
        by_hand, stock = best([make(connection, messages) for connection in ways])
        print(f"{label:28}{by_hand:10.2f}{stock:10.2f}{by_hand / stock:8.2f}")


if __name__ == "__main__":
    main()
