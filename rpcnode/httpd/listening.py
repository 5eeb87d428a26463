"""Listening sockets: made, shared out, and who has one that is taken."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from rpcnode.concurrency import native_socket
from rpcnode.exceptions import ConfigurationError
from rpcnode.httpd.address import BindAddress
from rpcnode.httpd.errors import AddressInUse

_LISTEN = "0A"  # of the states in /proc/net/tcp


def listen(address: BindAddress, backlog: int, *, reuse_port: bool = False) -> Any:
    """Return a socket that listens at an address and does not block.

    An address without a host is all of IPv4; `[::]` is IPv6 and IPv4. Raises AddressInUse, naming
    the process that has it where the system tells, or ConfigurationError.
    """
    family, where = _resolve(address)
    sock = native_socket.socket(family, native_socket.SOCK_STREAM)
    try:
        # A port of connections that ended a moment ago is free; one that is listened at is not.
        sock.setsockopt(native_socket.SOL_SOCKET, native_socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(native_socket.SOL_SOCKET, native_socket.SO_REUSEPORT, 1)
        if family == native_socket.AF_INET6:
            is_all = where[0] == "::"
            sock.setsockopt(native_socket.IPPROTO_IPV6, native_socket.IPV6_V6ONLY, not is_all)
        sock.bind(where)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise _refusal(address, exc) from exc
    return sock


def _resolve(address: BindAddress) -> tuple[int, Any]:
    try:
        found = native_socket.getaddrinfo(
            address.address or "0.0.0.0",
            address.port,
            type=native_socket.SOCK_STREAM,
            flags=native_socket.AI_PASSIVE,
        )
    except OSError as exc:
        text = f"{address.address!r} is no address of this machine: {exc.strerror}"
        raise ConfigurationError(f"cannot listen at {address}: {text}") from exc
    family, _, _, _, where = found[0]
    return family, where


def _refusal(address: BindAddress, error: OSError) -> ConfigurationError:
    if error.errno != errno.EADDRINUSE:
        return ConfigurationError(f"cannot listen at {address}: {error.strerror}")
    holder = holder_of(address.port)
    who = f" by {holder}" if holder else ""
    return AddressInUse(f"cannot listen at {address}: the port is in use{who}")


def holder_of(port: int) -> str | None:
    """Return which process listens at a port, None where Linux's /proc does not tell.

    Its command line is not shown: it may have passwords in it.
    """
    links = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not links:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_open(process, links):
            name = "unknown"
            with suppress(OSError):
                name = (process / "comm").read_text().strip()
            ours = ", this process" if int(process.name) == os.getpid() else ""
            return f"process {process.name} ({name}{ours})"
    return None


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _has_open(process: Path, links: set[str]) -> bool:
    try:
        return any(str(number.readlink()) in links for number in (process / "fd").iterdir())
    except OSError:  # it ended, or is another user's
        return False
