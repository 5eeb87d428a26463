"""Requests as nobody should send them, made from a seed: cheap enough for a hundred thousand."""

import random

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"

# What is right stands here several times, so that most messages have one fault at most.
METHODS = [b"GET", b"GET", b"POST", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS"] * 20
METHODS += [b"get", b"FROB", b"G T", b"", b"CONNECT", b"PRI", b"M-SEARCH", b"SOURCE", b"GE\tT"]
TARGETS = [b"/", b"/a?b=c", b"/a/b/../c", b"/%2e%2e/%00", b"/a;b=c?d=e&f", b"//a//"] * 15
TARGETS += [b"*", b"http://a/b", b"HTTPS://a?b", b"a:80", b"a", b"", b"/a b", b"/\0", b"/\xe4"]
TARGETS += [b"/#a", b"http://u@a/", b"ftp://a/", b"/\t", b"/" + b"a" * 300, b"http://"]
VERSIONS = [b"HTTP/1.1"] * 150 + [b"HTTP/1.0"] * 20
VERSIONS += [b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"", b"HTTP/1.1 ", b"HTTP/11"]
HOSTS = [b"Host: a"] * 150 + [b"host:a:80", b"HOST: \t [::1]:8 \t"]
HOSTS += [b"Host: a b", b"Host:", b"Host: a/b", b"Host: u@a", b"Host: a\r\nHost: a", b"Host: a, b"]
FIELDS = [b"X-Field: a", b"Accept: */*", b"X-Empty:", b"Cookie: a=b; c=d", b"X-Tab: a\tb \t"] * 3
FIELDS += [b"x-high: \xc3\xa4", b"Connection: close", b"Connection: keep-alive", b"TE: trailers"]
FIELDS += [b"Connection: Keep-Alive, X-Field", b"Connection: upgrade\r\nUpgrade: h2c", b"!#$: a"]
FIELDS += [b"Expect: 100-continue", b"Connection: close, keep-alive", b"Upgrade: websocket"]
ODD_FIELDS = [b"X-Field : a", b" X-Field: a", b"X-Field: a\r\n b", b"X-Field:\r\n\tb", b"X-Field"]
ODD_FIELDS += [b": a", b"X-Field: a\0", b"X-Field: \x01", b"X-Field: \x7f", b"X\0: a", b"X Y: a"]
ODD_FIELDS += [
    b"X-Field: a\rb: c",
    b"X-Field: a\nb: c",
    b"Expect: gold",
    b"X@Y: a",
    b"X-Field: \x0b",
]
ODD_FIELDS += [b"Content-Length : 5", b"Transfer-Encoding : chunked", b"Content-Length\0: 5"]
ODD_LENGTHS = [b"+%d", b"-%d", b"0x%d", b"%d,%d", b"%d, 7", b"", b"%d ", b"0%d", b"%d.0", b"%d_0"]
ODD_LENGTHS += [b"\x0b%d", b"9999999999999999999%d", b"99999999999999999999999%d"]
CODINGS = [b"Chunked", b"chunked ", b"xchunked", b"identity", b"gzip, chunked", b"chunked, chunked"]
CODINGS += [b"chunked, identity", b"", b"\x0bchunked", b"chunked;a=b", b'"chunked"', b"chunked,"]
EXTENSIONS = [b""] * 60 + [
    b";a",
    b";a=b",
    b';a="b c"',
    b";a=b;c",
    b" ",
    b";a=b\n",
    b"; a",
    b";\0",
    b"\t",
]
TRAILERS = [b""] * 40 + [
    b"X-Field: a\r\n",
    b"X: a\r\nY: b\r\n",
    b"Content-Length: 5\r\n",
    b" X: a\r\n",
]
TRAILERS += [b"Transfer-Encoding: chunked\r\n", b"X-Field: a\n", b"X-Field\r\n", HIDDEN[:-2]]
ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"", b"\r\n\r\n", b" \r\n"]
PARTS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"\x80",
    b"\r\n\r\n",
    HIDDEN,
]
PARTS += [b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"]


class Mutations:
    """An endless source of what a connection may bring, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def stream(self) -> tuple[bytes, int]:
        """Return what a client sends, and how many requests that were before they were spoilt."""
        number = self._one_of((1, 1, 2, 2, 3, 4))
        data = b"".join(self._message(number) for number in range(number))
        while self._is_rare(0.15):
            data = self._spoilt(data)
        return data, number

    def cuts(self, size: int) -> list[int]:
        """Return offsets at which the bytes are cut into what arrives at once."""
        number = self._one_of((1, 1, 2, 5))
        return sorted(self._random.randrange(size + 1) for _ in range(number))

    def _one_of(self, values):
        return values[int(self._random.random() * len(values))]

    def _is_rare(self, share: float) -> bool:
        return self._random.random() < share

    def _message(self, number: int) -> bytes:
        target = self._one_of(TARGETS) if self._is_rare(0.5) else b"/%d" % number
        lines = [b" ".join((self._one_of(METHODS), target, self._one_of(VERSIONS)))]
        if not self._is_rare(0.02):
            lines.append(self._one_of(HOSTS))
        lines += [self._one_of(FIELDS) for _ in range(self._one_of((0, 0, 1, 1, 2, 4)))]
        if self._is_rare(0.05):
            lines.insert(self._one_of((1, len(lines))), self._one_of(ODD_FIELDS))
        framing, body = self._body()
        lines += framing
        begin = b"\r\n" if self._is_rare(0.03) else b""
        return begin + self._ended([*lines, b""]) + body

    def _ended(self, lines: list[bytes]) -> bytes:
        if not self._is_rare(0.04):
            return b"\r\n".join(lines) + b"\r\n"
        ends = [b"\r\n"] * len(lines)
        ends[self._random.randrange(len(lines))] = self._one_of(ENDS)
        if self._is_rare(0.3):
            ends = [b"\n"] * len(lines)
        return b"".join(line + end for line, end in zip(lines, ends, strict=True))

    def _body(self) -> tuple[list[bytes], bytes]:
        """Return the fields that say how long a body is, and a body that may be longer or not."""
        kind = self._random.random()
        if kind < 0.35:
            return [], b""
        content = self._one_of((b"abc", b"", b"0\r\n\r\n", HIDDEN, HIDDEN * 2, b"a" * 100, b"\r\n"))
        length = b"Content-Length: %d" % len(content)
        if kind < 0.6:
            return [length], content
        if kind < 0.9:
            return [b"Transfer-Encoding: chunked"], self._chunks(content)
        return self._wrong_framing(content, length)

    def _wrong_framing(self, content: bytes, length: bytes) -> tuple[list[bytes], bytes]:
        chunked = b"Transfer-Encoding: chunked"
        kind = self._random.randrange(6)
        if kind == 0:
            return [b"Content-Length: %d" % self._random.randrange(60)], content
        if kind == 1:
            template = self._one_of(ODD_LENGTHS)
            return [b"Content-Length: " + template.replace(b"%d", b"%d" % len(content))], content
        if kind == 2:
            return [length, self._one_of((length, b"Content-Length: 3", length.upper()))], content
        if kind == 3:
            both = [length, chunked]
            self._random.shuffle(both)
            return both, self._one_of((content, self._chunks(content)))
        if kind == 4:
            return [b"Transfer-Encoding: " + self._one_of(CODINGS)], self._chunks(content)
        return [chunked, self._one_of((chunked, b"Transfer-Encoding: identity"))], content

    def _chunks(self, content: bytes) -> bytes:
        data = b""
        while content:
            size = self._random.randrange(1, len(content) + 1)
            part, content = content[:size], content[size:]
            data += self._size(size) + self._one_of(EXTENSIONS) + b"\r\n" + part + b"\r\n"
        last = self._one_of((b"0", b"0", b"0", b"000"))
        return data + last + self._one_of(EXTENSIONS) + b"\r\n" + self._one_of(TRAILERS) + b"\r\n"

    def _size(self, size: int) -> bytes:
        template = self._one_of((b"%x", b"%X", b"%x", b"%x", b"%04x", b"%x"))
        if self._is_rare(0.02):
            template = self._one_of(
                (b"+%x", b"0x%x", b"%x0", b"%019x", b"%030x", b" %x", b"f" * 16 + b"%x")
            )
        return template % size

    def _spoilt(self, data: bytes) -> bytes:
        """Return the bytes with one change."""
        begin = self._random.randrange(len(data) + 1)
        end = min(len(data), begin + self._one_of((0, 1, 1, 2, 10, 1000)))
        kind = self._random.randrange(5)
        if kind == 0:
            return data[:begin] + data[end:]
        if kind == 1:
            return data[:end] + data[begin:]
        if kind == 2:
            return data[:begin] + bytes([self._random.randrange(256)]) + data[end:]
        return data[:begin] + self._one_of(PARTS) + data[begin:]
