"""A Python prompt inside a process that runs: for whoever has a shell on its host."""

import argparse
import code
import ipaddress
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from rpcnode.concurrency import kill, socket, spawn
from rpcnode.exceptions import CommandError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
END_OF_INPUT = "\x04"
_HTTP_REQUEST = re.compile(r"^[A-Z]+ \S+ HTTP/\d")

_session_output: ContextVar[Any] = ContextVar("rpcnode_backdoor_output", default=None)


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `[host:]port`; the host is the loopback interface by default."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected [HOST:]PORT, not {text!r}")
    return host.strip("[]") or LOOPBACK, int(port)


class Backdoor:
    """Listens for people, and gives each of them a prompt with `namespace` in it."""

    def __init__(self, address: tuple[str, int], namespace: dict[str, Any]) -> None:
        self._address = address
        self._namespace = namespace

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve as long as the block runs; CommandError when the address cannot be had."""
        listener = self._listen()
        host, port = listener.getsockname()[:2]
        logger.info("the backdoor is open: telnet %s %d", host, port)
        if not _is_loopback(host):
            logger.warning("whoever reaches %s can do anything in this process", host)
        output = sys.stdout
        sys.stdout = _Output(output)
        thread = spawn(self._accept, listener)
        try:
            yield
        finally:
            kill(thread)
            listener.close()
            sys.stdout = output

    def _listen(self) -> Any:
        host, port = self._address
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError as exc:
            raise CommandError(f"the backdoor cannot listen on {host}:{port}: {exc}") from exc
        return listener

    def _accept(self, listener: Any) -> None:
        while True:
            connection, address = listener.accept()
            logger.info("the backdoor was entered from %s", address[0])
            spawn(self._serve, connection)

    def _serve(self, connection: Any) -> None:
        # Two files: a single one drops what was read ahead when it is written to.
        with (
            suppress(OSError),  # who has gone, has gone
            connection,
            connection.makefile("r", encoding="utf-8", errors="replace") as lines,
            connection.makefile("w", encoding="utf-8", errors="replace") as output,
        ):
            _session_output.set(output)
            _Session(lines, output, self._namespace).run()


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class _Output:
    """The standard output; what a session prints goes to its own stream."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def write(self, text: str) -> int:
        return (_session_output.get() or self._output).write(text)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(_session_output.get() or self._output, name)


class _Session(code.InteractiveConsole):
    def __init__(self, lines: Any, output: Any, namespace: dict[str, Any]) -> None:
        # Python's own quit() would close the standard input of the whole process.
        super().__init__({**namespace, "quit": _quit, "exit": _quit, "__name__": "__backdoor__"})
        self._lines = lines
        self._output = output

    def run(self) -> None:
        names = ", ".join(name for name in self.locals if not name.startswith("__"))
        with suppress(SystemExit):  # it ends this session, not the process
            self.interact(f"Python {sys.version.split()[0]} in a running process: {names}", "")

    def raw_input(self, prompt: str = "") -> str:
        self.write(prompt)
        line: str = self._lines.readline()
        if not line or END_OF_INPUT in line:
            raise EOFError
        if _HTTP_REQUEST.match(line):
            # A web page can make a browser send anything here, after such a line.
            logger.error("the backdoor was sent an HTTP request; the session ends")
            raise SystemExit
        return line.rstrip("\r\n")

    def write(self, data: str) -> None:
        self._output.write(data)
        self._output.flush()

    def runcode(self, code: Any) -> None:
        super().runcode(code)
        self._output.flush()


def _quit() -> None:
    """End the session."""
    raise SystemExit
