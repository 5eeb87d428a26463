"""Where a server listens: how it is written."""

import re
from typing import NamedTuple

from rpcnode.exceptions import ConfigurationError

_WRITTEN = re.compile(r"(?:(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):)?(?P<port>[0-9]{1,5})")


class BindAddress(NamedTuple):
    """A host, empty for all addresses of this machine, and a port, 0 for one that is free."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else ":".join(map(str, self))


def parse_address(text: str) -> BindAddress:
    """Return the address that is written `host:port`, `:port`, `[::1]:port` or `port`.

    Raises ConfigurationError where it is written otherwise.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65_535:
        raise ConfigurationError(
            f"{text!r} is no address to listen at: write `host:port`, `:port`, `[ipv6]:port` "
            "or `port`"
        )
    return BindAddress(found["ipv6"] or found["host"] or "", int(found["port"]))
