"""Messages drawn at random, as they are published and as a broker may deliver them."""

import struct
from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from amqp import spec
from amqp.serialization import dumps

SHORT_TEXTS = (
    *("content_type", "content_encoding", "correlation_id", "reply_to"),
    *("message_id", "type", "user_id", "app_id", "cluster_id"),
)
_ALPHABETS = ("abcdefgh-0123456789", "aé漢😀\x00ÿ", "x")
_WORDS = ("application/json", "utf-8", "nameko.call_id_stack", "rpcnode-deadline", "caller", "")
_EDGES = (0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) + 1, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -0.0, 1.5, 1e308, float("inf"), float("nan"))
# The layouts of what has a fixed size, by the letters of the types.
_LAYOUTS = ("b", "B", "Uh", "sh", "uH", "Ii", "iI", "lq", "Lq", "f", "d", "tB", "DBi")
_NUMBERS = {layout[0]: f">{layout[1:] or layout}" for layout in _LAYOUTS}


class Draw(Random):
    """Draws what messages are made of."""

    def text(self, longest=40):
        if self.random() < 0.4:
            return self.choice(_WORDS)[:longest]
        alphabet = self.choice(_ALPHABETS)
        return "".join(self.choices(alphabet, k=self.randrange(longest // 4 + 1)))

    def integer(self):
        return self.choice(_EDGES) if self.random() < 0.3 else self.randrange(-(2**40), 2**40)

    def value(self, depth=3):
        """Draw a header that py-amqp can encode."""
        plain = (
            *(self.text, self.text, self.integer, self.number, self.small_bytes),
            lambda: self.choice((None, True, False, *_FLOATS)),
            lambda: self.uniform(-1e9, 1e9),
            lambda: Decimal(self.randrange(-(10**6), 10**6)).scaleb(-self.randrange(6)),
            lambda: datetime(1970, 1, 1) + timedelta(seconds=self.randrange(2**34)),
        )
        nested = (
            lambda: self.headers(3, depth - 1),
            lambda: [self.value(depth - 1) for _ in range(self.randrange(4))],
            lambda: tuple(self.value(depth - 1) for _ in range(self.randrange(4))),
        )
        return self.choice(plain + nested if depth else plain)()

    def number(self):
        return self.randrange(1000)

    def small_bytes(self):
        return self.randbytes(self.randrange(12))

    def headers(self, most=5, depth=3):
        return {self.text(): self.value(depth) for _ in range(self.randrange(most + 1))}

    def properties(self):
        """Draw basic properties to publish, without the headers."""
        drawn = {
            **{name: self.text(200) for name in SHORT_TEXTS},
            "delivery_mode": self.randrange(256),
            "priority": self.choice((None, self.randrange(256))),
            "expiration": str(self.randrange(10**9)),
            "timestamp": self.randrange(2**64),
        }
        names = self.sample(sorted(drawn), self.randrange(len(drawn) + 1))
        return {name: drawn[name] for name in names}

    def encoded_table(self, depth=3):
        """Draw a table as bytes, of all types that RabbitMQ's clients send."""
        parts = []
        for _ in range(self.randrange(5)):
            name = self.text().encode()
            parts += bytes([len(name)]), name, self.encoded_value(depth)
        return _sized(b"".join(parts))

    def encoded_value(self, depth):
        kind = self.choice("SSSIlIstbBUuiLfdDTVxAF" if depth else "SSSIltbBUuisLfdDTVx")
        return kind.encode() + self.encoded_as(kind, depth)

    def encoded_as(self, kind, depth):
        if kind in _NUMBERS:
            return self.randbytes(struct.calcsize(_NUMBERS[kind]))
        is_odd = kind == "S" and self.random() < 0.05
        makers = {
            "S": lambda: _sized(self.randbytes(5) if is_odd else self.text(200).encode()),
            "x": lambda: _sized(self.small_bytes()),
            "A": lambda: _sized(b"".join(self.encoded_values(depth - 1))),
            "F": lambda: self.encoded_table(depth - 1),
            "T": lambda: struct.pack(">Q", self.randrange(2**34)),
            "V": lambda: b"",
        }
        return makers[kind]()

    def encoded_values(self, depth):
        return [self.encoded_value(depth) for _ in range(self.randrange(4))]

    def encoded_properties(self):
        """Draw the flags and the properties of a delivery as bytes; some are no good."""
        flags = self.choice((0xF8C8, 0xDCC8, self.getrandbits(14) << 2))
        parts = [struct.pack(">H", flags)]
        for bit, kind in enumerate("ssFoossssLssss"):
            if flags << bit & 0x8000:
                parts.append(self._encoded_property(kind))
        data = b"".join(parts)
        return self._damaged(data) if self.random() < 0.1 else data

    def _encoded_property(self, kind):
        if kind == "F":
            return self.encoded_table()
        if kind == "o":
            return self.randbytes(1)
        if kind == "L":
            return self.randbytes(8)
        data = self.randbytes(3) if self.random() < 0.01 else self.text(200).encode()
        return bytes([len(data)]) + data

    def _damaged(self, data):
        at = self.randrange(len(data) + 1)
        return self.choice(
            (
                data[:at],
                data[:at] + self.randbytes(1) + data[at + 1 :],
                data + self.randbytes(3),
                b"\xff\xff" + data[2:],
            )
        )

    def delivery(self, channel, tag):
        """Draw a delivery; return its frames and its parts."""
        consumer, exchange, key = f"rpcnode-{channel}", self.text(), self.text()
        redelivered = self.random() < 0.5
        arguments = dumps("sLbss", (consumer, tag, redelivered, exchange, key))
        size = self.choice((0, self.randrange(40), self.randrange(400)))
        body = self.randbytes(size)
        header = struct.pack(">HHQ", 60, 0, size) + self.encoded_properties()
        chunks = [body] if self.random() < 0.7 else self._pieces(body)
        frames = [
            frame(1, channel, struct.pack(">HH", *spec.Basic.Deliver) + arguments),
            frame(2, channel, header),
            *(frame(3, channel, chunk) for chunk in chunks if chunk),
        ]
        return frames, (tag, redelivered, exchange, key, body, header)

    def _pieces(self, data):
        cuts = sorted(self.randrange(len(data) + 1) for _ in range(self.randrange(4)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def interleaved(self, streams):
        """Shuffle lists of frames into one, each in its own order; heartbeats come between."""
        waiting = [deque(stream) for stream in streams]
        frames = []
        while waiting := [stream for stream in waiting if stream]:
            frames.append(self.choice(waiting).popleft())
            if self.random() < 0.02:
                frames.append(frame(8, 0, b""))
        return frames

    def reads(self, data, longest):
        """Cut a stream into what single reads return."""
        start = 0
        while start < len(data):
            end = start + self.randrange(1, longest + 1)
            yield data[start:end]
            start = end


def frame(kind, channel, payload):
    """Return a frame."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _sized(data):
    return struct.pack(">I", len(data)) + data
