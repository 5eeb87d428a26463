"""What may be set about a server, and the defaults."""

import ssl
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The limits of a server; sizes are bytes, times are seconds.

    `max_body` is the default of `Exchange.max_body`; `max_head` and `max_fields` bound the head of
    a request and the number of its header fields. `header_timeout` bounds the time from the
    first byte of a request's head to its last; `body_timeout` the time in which someone waits for
    a body and fewer than `body_rate` bytes a second arrive, where 0 means that one byte is enough;
    `write_timeout` the time in which a client takes nothing of an answer; `keep_alive` the time a
    connection may stay open without a request. `linger` is how long the rest of a request is read
    and dropped after an answer that ends its connection, so that the client gets to read the
    answer. Above `max_connections` new clients wait until others leave; `backlog` is how many may.
    `stop_grace` is how long idle connections stay open at a stop, for requests that are on their
    way. `reuse_port` lets several processes share the address.
    """

    max_body: int = 10 * MIB
    max_head: int = 64 * KIB
    max_fields: int = 256
    header_timeout: float = 10
    body_timeout: float = 30
    body_rate: int = 500
    keep_alive: float = 75
    write_timeout: float = 30
    linger: float = 2
    max_connections: int = 10_000
    backlog: int = 1024
    stop_grace: float = 0.25
    reuse_port: bool = False
    tls: ssl.SSLContext | None = None

    @property
    def shortest_wait(self) -> float:
        """The shortest of the times that are watched, at most 4 seconds."""
        return min(
            *(self.header_timeout, self.body_timeout, self.keep_alive, self.write_timeout),
            *(self.linger, 4.0),
        )
