"""A TCP proxy between us and a broker that does what networks do.

It is a process of its own: the code under test cannot slow it, nor a busy handler.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.faults.proxy_server import ALL, TO_BROKER, TO_CLIENT, WAYS
from tests.rabbitmq_server import bound_to_this_process

__all__ = ["TO_BROKER", "TO_CLIENT", "Proxy"]

SERVER = Path(__file__).with_name("proxy_server.py")


class Proxy:
    """Stands between us and a broker: `uri` is the broker's with the proxy's address.

    Connections have numbers, 1 for the first. Everything may be done to one of them, also to one
    that is still to come (`connection=proxy.accepted + 1`), or to all, those to come included.
    `way` is TO_BROKER, TO_CLIENT, or None for both.

    An order is in force when the method returns.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        command = [sys.executable, str(SERVER), parts.hostname or "", str(parts.port or 5672)]
        self._process = subprocess.Popen(
            [*bound_to_this_process(), *command], stdin=orders, stdout=answers
        )
        os.close(orders)
        os.close(answers)
        self.port: int = self._read_answer()
        credentials = parts.netloc.rpartition("@")[0] or "guest:guest"
        self.uri = parts._replace(netloc=f"{credentials}@127.0.0.1:{self.port}").geturl()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def cut(self, *, connection: int = ALL, reset: bool = False) -> int:
        """Break connections, with FIN or RST, now; return how many. What is held is lost."""
        return self._order("cut", connection, reset)

    def half_close(self, way: str, *, connection: int = ALL) -> int:
        """End one way of connections, now, in good order; the other goes on. Return how many.

        What is still sent that way is taken, and dropped.
        """
        return self._order("half_close", connection, _ways(way))

    def stall(self, way: str | None = None, *, connection: int = ALL) -> None:
        """Pass nothing on; some 100 KB are held, then the sender has to wait."""
        self._order("set", "stall", connection, _ways(way), True)

    def resume(self, way: str | None = None, *, connection: int = ALL) -> None:
        """End a stall: what was held passes."""
        self._order("set", "stall", connection, _ways(way), False)

    def delay(self, seconds: float, way: str | None = None, *, connection: int = ALL) -> None:
        """Pass everything on `seconds` late; 0 ends that."""
        self._order("set", "delay", connection, _ways(way), seconds)

    def throttle(self, rate: float, way: str | None = None, *, connection: int = ALL) -> None:
        """Pass `rate` bytes on in a second; 0 ends that."""
        self._order("set", "throttle", connection, _ways(way), rate)

    def truncate(self, size: int, way: str, *, connection: int = ALL, reset: bool = False) -> None:
        """Pass `size` more bytes of one way on, then break the connection."""
        self._order("set", "truncate", connection, _ways(way), size, reset)

    def refuse(self) -> None:
        """Close each connection that comes, at once; those that are there stay."""
        self._order("refuse", True)

    def admit(self) -> None:
        """Take connections again."""
        self._order("refuse", False)

    def heal(self) -> None:
        """Do nothing bad any more."""
        self._order("heal")

    @property
    def accepted(self) -> int:
        """How many connections have come, those that were refused included."""
        return self._order("accepted")

    @property
    def connections(self) -> list[int]:
        """The numbers of the connections that are open, the oldest first."""
        return self._order("connections")

    def connection_from(self, port: int) -> int:
        """Return the number of the open connection that comes from a port of the client's."""
        return self._order("connection_from", port)

    def passed(self, way: str, *, connection: int = ALL) -> int:
        """Return how many bytes have passed, on an open connection or on all there ever were."""
        return self._order("passed", connection, way)

    def close(self) -> None:
        """End the proxy and its connections."""
        if self._orders < 0:
            return
        os.close(self._orders)  # which it takes for the end
        os.close(self._answers)
        self._orders = -1
        self._process.kill()
        self._process.wait()

    def _order(self, name: str, *arguments: Any) -> Any:
        os.write(self._orders, json.dumps([name, arguments]).encode() + b"\n")
        return self._read_answer()

    def _read_answer(self) -> Any:
        # The pipe blocks, also in a patched process: an order is not a moment for others to run.
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(self._answers, 4096)
            if not data:
                raise RuntimeError("the proxy has ended")
            line += data
        return json.loads(line)


def _ways(way: str | None) -> tuple[str, ...]:
    return WAYS if way is None else (way,)
