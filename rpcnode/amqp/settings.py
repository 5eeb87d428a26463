"""Where the broker is, how to reach it, and what its transport can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kombu.transport import TRANSPORT_ALIASES

from rpcnode.masking import mask_uri

_AMQP_SCHEMES = {"amqp": "rpcnodeamqp", "pyamqp": "rpcnodeamqp", "amqps": "rpcnodeamqps"}


@dataclass(frozen=True)
class Capabilities:
    """What a transport can do beyond plain publishing and consuming."""

    confirms: bool = False
    mandatory: bool = False
    expiry: bool = False
    dead_lettering: bool = False
    exclusive: bool = False
    priority: bool = False

    def missing(self, *names: str) -> list[str]:
        """Return those of `names` that the transport cannot do."""
        return [name for name in names if not getattr(self, name)]


AMQP = Capabilities(True, True, True, True, True, True)
EMBEDDED = AMQP  # it does all that RabbitMQ does in these respects
OTHER = Capabilities()


@dataclass(frozen=True)
class BrokerSettings:
    """One broker's address and the options of connections to it. Times are in seconds."""

    uri: str
    heartbeat: float | None = 60
    connect_timeout: float = 5
    reconnect_max_delay: float = 30
    ssl: Any = None
    login_method: str | None = None
    transport_options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        # Options of TLS and of transports may be secret, too.
        return f"{type(self).__name__}({self.safe_uri!r})"

    @property
    def scheme(self) -> str:
        """The URI's scheme in lower case."""
        return self.uri.partition("://")[0].lower()

    @property
    def is_amqp(self) -> bool:
        """Whether the broker is reached through our own AMQP transport."""
        return self.scheme in _AMQP_SCHEMES

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded broker, inside the process."""
        return self.scheme == "memory"

    @property
    def capabilities(self) -> Capabilities:
        """What the transport can do."""
        if self.is_amqp:
            return AMQP
        return EMBEDDED if self.is_embedded else OTHER

    @property
    def safe_uri(self) -> str:
        """The URI as it may be shown: without the password."""
        return mask_uri(self.uri)

    def kombu_uri(self) -> str:
        """Return the URI under the names of our transports, for every alternate."""
        return ";".join(_with_own_transport(part) for part in _alternates(self.uri))


def _alternates(uri: str) -> list[str]:
    return re.split(r";(?=[^;@]*://)", uri)  # a password may have a semicolon


def _with_own_transport(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    own = {**_AMQP_SCHEMES, "memory": "rpcnodememory"}.get(scheme.lower(), scheme)
    return f"{own}{separator}{rest}"


def register_transports() -> None:
    """Tell kombu the names of our transports; a failover keeps a transport only by its name."""
    TRANSPORT_ALIASES.update(
        rpcnodeamqp="rpcnode.amqp.transport:Transport",
        rpcnodeamqps="rpcnode.amqp.transport:TlsTransport",
        rpcnodememory="rpcnode.amqp.memory:Transport",
    )
