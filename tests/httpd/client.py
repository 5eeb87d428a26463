"""A client that sends bytes as they are, and reads answers."""

import socket
from dataclasses import dataclass

PATIENCE = 5  # seconds


@dataclass
class Answer:
    """What a server has answered; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection to a server; it waits `PATIENCE` for each answer."""

    def __init__(self, address, **options):
        self.sock = socket.create_connection(address, PATIENCE, **options)
        self._received = b""

    def send(self, data):
        self.sock.sendall(data)

    def get(self, path="/", *fields):
        self.send(request("GET", path, *fields))
        return self.answer()

    def answer(self, *, to_head=False):
        """Return the next answer, its body without chunks."""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers
            headers[name.lower()] = value
        status = int(status_line.split()[1])
        has_body = not to_head and status not in (100, 204, 304)
        return Answer(status, headers, self._body(headers) if has_body else b"")

    def _body(self, headers):
        if "content-length" in headers:
            return self.exactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self.chunks())
        return self.rest()

    def chunks(self):
        """Yield the chunks of a body until the last one."""
        while size := int(self.until(b"\r\n"), 16):
            yield self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"

    def until(self, end):
        while end not in self._received:
            self._receive()
        size = self._received.index(end) + len(end)
        return self.exactly(size)

    def exactly(self, size):
        while len(self._received) < size:
            self._receive()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def rest(self):
        """Return all that comes until the server closes."""
        while data := self.sock.recv(65536):
            self._received += data
        data, self._received = self._received, b""
        return data

    def _receive(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(f"the server has closed the connection after {self._received!r}")
        self._received += data

    def is_closed(self):
        """Wait until the server closes; return whether nothing came before."""
        return not self._received and not self.sock.recv(1)

    def vanish(self):
        """Reset the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def request(method, path, *fields, body=b"", version="1.1"):
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/{version}", *fields]
    if version == "1.1" and not any(field.lower().startswith("host:") for field in fields):
        lines.insert(1, "Host: localhost")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*parts, trailer=b""):
    """Return a body in chunks."""
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"".join([*chunks, b"0\r\n", trailer, b"\r\n"])
