"""The process behind `tests.faults.proxy`: it passes on, and breaks, what it is told to.

It reads orders from its standard input, one JSON list `[name, arguments]` a line, and answers each
with a line. It ends with its input, so with whoever started it.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from typing import Any

CHUNK = 65_536  # bytes that are read at once
HELD = 4 * CHUNK  # bytes of one way that are held back at most; then the sender has to wait
TICK = 0.02  # seconds of a throttled way that one piece may last
LINGER = 5.0  # seconds until a socket that was shut down is closed, so that no RST follows the FIN
TO_BROKER, TO_CLIENT = "to broker", "to client"
WAYS = (TO_BROKER, TO_CLIENT)
ALL = 0  # the number that stands for all connections, also those to come
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.passed = 0
        self.seconds = 0.0
        self.rate = 0.0
        self.is_stalled = False
        self.is_half_closed = False
        self.limit: int | None = None
        self.is_reset_at_limit = False
        self.changed = asyncio.Event()
        self._held: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._is_over = False

    async def receive(self) -> None:
        """Take what comes, up to what may be held, until the source ends."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self.source, CHUNK):
            self._held.append((loop.time() + self.seconds, data))
            self._size += len(data)
            self.changed.set()
            while self._size >= HELD:
                await self._change()
        self._is_over = True
        self.changed.set()

    async def send(self) -> bool:
        """Pass on what is held; return whether the limit ended it, and not the source."""
        while self.limit is None or self.limit > 0:
            if self._is_over and not self._held:
                self._shut_down()
                return False
            if self.is_stalled or not self._held:
                await self._change()
            elif await self._is_due():
                await self._send_piece()
        return True

    def half_close(self) -> None:
        """Let the target hear the end; what comes later is dropped."""
        self.is_half_closed = True
        self._shut_down()

    async def _change(self) -> None:
        self.changed.clear()
        await self.changed.wait()

    async def _is_due(self) -> bool:
        """Wait for the moment of the oldest piece; return False when something else changed."""
        left = self._held[0][0] - asyncio.get_running_loop().time()
        if left <= 0:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._change()
        return False

    async def _send_piece(self) -> None:
        due, data = self._held.popleft()
        piece = data[: self._piece_size()]
        if len(piece) < len(data):
            self._held.appendleft((due, data[len(piece) :]))
        self._size -= len(piece)
        if not self.is_half_closed:
            await asyncio.get_running_loop().sock_sendall(self.target, piece)
            self.passed += len(piece)
            if self.limit is not None:
                self.limit -= len(piece)
        self.changed.set()
        if self.rate:
            await asyncio.sleep(len(piece) / self.rate)

    def _piece_size(self) -> int:
        size = CHUNK if self.limit is None else self.limit
        return max(1, min(size, int(self.rate * TICK))) if self.rate else size

    def _shut_down(self) -> None:
        with suppress(OSError):
            self.target.shutdown(socket.SHUT_WR)


class Connection:
    """A client, the broker, and the two ways between them."""

    def __init__(self, client: socket.socket, port: int, address: tuple[str, int]) -> None:
        self.port = port  # the client's
        self._address = address
        self._broker = broker = socket.socket()
        self._sockets = (client, broker)
        self._tasks: list[asyncio.Task[Any]] = []
        self._is_closed = False
        self._is_reset = False
        self.ways = {TO_BROKER: Way(client, broker), TO_CLIENT: Way(broker, client)}
        for one in self._sockets:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def serve(self) -> None:
        """Connect to the broker, and pass on until both ways have ended."""
        try:
            await asyncio.get_running_loop().sock_connect(self._broker, self._address)
        except OSError:  # the broker is away: so is the proxy
            self.close()
        if not self._is_closed:
            await self._pass_on()
            self.close()
        elif self._is_reset:
            self._release()

    async def _pass_on(self) -> None:
        sending = [asyncio.create_task(self._send(way)) for way in self.ways.values()]
        receiving = [asyncio.create_task(self._receive(way)) for way in self.ways.values()]
        self._tasks = sending + receiving
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self, *, reset: bool = False) -> None:
        """End both sides, in good order or with a reset; what is held is lost."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        for one in self._sockets:
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
                else:
                    one.shutdown(socket.SHUT_RDWR)
        self._is_reset = reset
        if not reset:
            asyncio.get_running_loop().call_later(LINGER, self._release)
        elif self._tasks:  # while connecting, nobody would hear of a file that is closed under it
            self._release()

    async def _receive(self, way: Way) -> None:
        try:
            await way.receive()
        except OSError:  # the source was reset: so is the target
            self.close(reset=True)

    async def _send(self, way: Way) -> None:
        try:
            is_at_limit = await way.send()
        except OSError:
            self.close(reset=True)
        else:
            if is_at_limit:
                self.close(reset=way.is_reset_at_limit)

    def _release(self) -> None:
        for one in self._sockets:
            one.close()


class Rules:
    """What is to happen on the ways of a connection, or of all of them."""

    def __init__(self) -> None:
        self._orders: list[tuple[str, int, list[Any]]] = []

    def add(self, name: str, number: int, arguments: list[Any]) -> None:
        """Remember an order for connections to come."""
        self._orders.append((name, number, arguments))

    def clear(self) -> None:
        """Forget all orders."""
        self._orders.clear()

    def apply(self, connection: Connection, number: int) -> None:
        """Give a new connection its orders."""
        for name, of, arguments in self._orders:
            if of in (ALL, number):
                obey(connection, name, arguments)


def obey(connection: Connection, name: str, arguments: list[Any]) -> None:
    """Carry out an order on one connection; `arguments` begin with the ways."""
    ways, *values = arguments
    for way in [connection.ways[one] for one in ways]:
        if name == "stall":
            (way.is_stalled,) = values
        elif name == "delay":
            (way.seconds,) = values
        elif name == "throttle":
            (way.rate,) = values
        elif name == "truncate":
            way.limit, way.is_reset_at_limit = values
        else:
            raise ValueError(f"no order {name!r}")
        way.changed.set()


class Server:
    """Accepts connections, and takes orders."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._rules = Rules()
        self._connections: dict[int, Connection] = {}
        self._accepted = 0
        self._is_refusing = False
        self._passed = dict.fromkeys(WAYS, 0)  # of the connections that are gone
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Listen until the input ends."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            listener.setblocking(False)
            answer(listener.getsockname()[1])
            accepting = asyncio.create_task(self._accept(listener))
            await self._take_orders()
            accepting.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, (_host, port) = await asyncio.get_running_loop().sock_accept(listener)
            self._accepted += 1
            if self._is_refusing:
                client.close()
                continue
            connection = Connection(client, port, self._target)
            task = asyncio.create_task(self._serve(connection, self._accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection, number: int) -> None:
        self._connections[number] = connection
        self._rules.apply(connection, number)
        await connection.serve()
        del self._connections[number]
        for name, way in connection.ways.items():
            self._passed[name] += way.passed

    async def _take_orders(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            name, arguments = json.loads(line)
            answer(getattr(self, f"order_{name}")(*arguments))

    def order_set(self, name: str, number: int, *arguments: Any) -> None:
        """Set how connections behave, those that are there and those to come."""
        self._rules.add(name, number, list(arguments))
        for connection in self._chosen(number):
            obey(connection, name, list(arguments))

    def order_cut(self, number: int, reset: bool) -> int:
        """Break connections; return how many."""
        chosen = self._chosen(number)
        for connection in chosen:
            connection.close(reset=reset)
        return len(chosen)

    def order_half_close(self, number: int, ways: list[str]) -> int:
        """End one way of the connections that are there; return of how many."""
        chosen = self._chosen(number)
        for connection in chosen:
            for way in ways:
                connection.ways[way].half_close()
        return len(chosen)

    def order_refuse(self, is_refusing: bool) -> None:
        """Close what comes, or accept it again."""
        self._is_refusing = is_refusing

    def order_heal(self) -> None:
        """Pass everything on again."""
        self._is_refusing = False
        self._rules.clear()
        for connection in self._connections.values():
            for name, values in (("stall", [False]), ("delay", [0.0]), ("throttle", [0.0])):
                obey(connection, name, [WAYS, *values])
            obey(connection, "truncate", [WAYS, None, False])

    def order_accepted(self) -> int:
        """Return how many connections have come."""
        return self._accepted

    def order_connections(self) -> list[int]:
        """Return the numbers of the connections that are open."""
        return list(self._connections)

    def order_connection_from(self, port: int) -> int | None:
        """Return the number of the connection whose client has that port."""
        found = [number for number, one in self._connections.items() if one.port == port]
        return found[0] if found else None

    def order_passed(self, number: int, way: str) -> int:
        """Return how many bytes have passed, on one connection or on all there were."""
        passed = sum(one.ways[way].passed for one in self._chosen(number))
        return passed + (self._passed[way] if number == ALL else 0)

    def _chosen(self, number: int) -> list[Connection]:
        if number == ALL:
            return list(self._connections.values())
        return [self._connections[number]] if number in self._connections else []


def answer(value: Any) -> None:
    """Tell who gave the order."""
    os.write(sys.stdout.fileno(), json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    asyncio.run(Server(sys.argv[1], int(sys.argv[2])).serve())
