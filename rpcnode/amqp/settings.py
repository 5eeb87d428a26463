"""Where the broker is, how to reach it, and what its transport can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kombu.transport import TRANSPORT_ALIASES

from rpcnode.exceptions import ConfigurationError
from rpcnode.masking import mask_uri

_AMQP_SCHEMES = ("amqp", "pyamqp", "amqps")
_ALTERNATES = re.compile(r";(?=[^;@]*://)")  # a password may have a semicolon


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
    """Where a broker is, and the options of connections to it. Times are in seconds.

    `uri` may have several addresses, separated by `;`: see `alternates`. `ssl` is what AMQP_SSL
    says: whether to encrypt, or how. Without `fast_path` py-amqp encodes and decodes messages.
    """

    uri: str
    heartbeat: float | None = 60
    connect_timeout: float = 5
    reconnect_max_delay: float = 30
    ssl: Any = None
    login_method: str | None = None
    transport_options: Mapping[str, Any] = field(default_factory=dict)
    fast_path: bool = True

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

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are to use TLS."""
        return self.scheme == "amqps" or self.ssl is True or isinstance(self.ssl, Mapping)

    def alternates(self) -> tuple["BrokerSettings", ...]:
        """Return the settings for each of the addresses, in their order.

        Other transports than ours take all addresses at once. Raises ConfigurationError for
        addresses that do not go together.
        """
        if not (self.is_amqp or self.is_embedded):
            return (self,)
        alternates = tuple(replace(self, uri=each) for each in _ALTERNATES.split(self.uri))
        for each in alternates:
            if (each.is_amqp, each.is_embedded) != (self.is_amqp, self.is_embedded):
                raise ConfigurationError(
                    f"{self.safe_uri}: all addresses need the transport of the first, because "
                    "services are built on what it can do"
                )
            if ";" in each.uri.rpartition("@")[2]:
                raise ConfigurationError(
                    f"{self.safe_uri}: each address after a `;` begins with its scheme, such as "
                    "amqp://"
                )
        return alternates

    def kombu_uri(self) -> str:
        """Return the URI, of one of the alternates, under the name of our transport."""
        rest = self.uri.partition("://")[2]
        # Kombu would take a semicolon, which stands in the password, for the end of the address.
        rest = rest.replace(";", "%3B")
        if self.is_amqp:
            return f"rpcnodeamqp://{rest}"
        return f"rpcnodememory://{rest}" if self.is_embedded else self.uri


def settings_from(config: Mapping[str, Any]) -> BrokerSettings:
    """Return where the configuration says that the broker is."""
    return BrokerSettings(
        uri=config["AMQP_URI"],
        heartbeat=config["HEARTBEAT"],
        ssl=config["AMQP_SSL"],
        login_method=config["LOGIN_METHOD"],
        transport_options=config["TRANSPORT_OPTIONS"],
        fast_path=config["AMQP_FAST_PATH"],
    )


def register_transports() -> None:
    """Tell kombu the names of our transports."""
    TRANSPORT_ALIASES.update(
        rpcnodeamqp="rpcnode.amqp.transport:Transport",
        rpcnodememory="rpcnode.amqp.memory:Transport",
    )
