"""Cross-origin requests: which pages of other origins may ask, and what they may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.web.encoding import Headers
from rpcnode.extensions.web.reply import Reply

ANY = "*"


@dataclass(frozen=True)
class Cors:
    """What pages of other origins may do.

    `origins` are such as "https://shop.example"; "*" allows all, but not with `credentials`.
    `headers` may be sent (by default what the page asks for), `expose` may be read; a browser
    remembers the answer for `max_age` seconds.
    """

    origins: str | Sequence[str] = ANY
    headers: Sequence[str] = ()
    expose: Sequence[str] = ()
    credentials: bool = False
    max_age: int = 600

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", _texts("origins", self.origins))
        object.__setattr__(self, "headers", _texts("headers", self.headers))
        object.__setattr__(self, "expose", _texts("expose", self.expose))
        if self.credentials and ANY in self.origins:
            raise ConfigurationError(
                "cors: credentials need origins by name: with '*' every page of the web could "
                "act in the name of whoever visits it"
            )

    def add_to(self, reply: Reply, origin: str | None) -> None:
        """Say in an answer whether a page of `origin` may see it."""
        headers = [*reply.headers, *self._allowed(origin)]
        if origin and self.expose and self.allows(origin):
            headers.append(("Access-Control-Expose-Headers", ", ".join(self.expose)))
        reply.headers = headers

    def preflight(self, exchange: Any, methods: Sequence[str]) -> Reply:
        """Return the answer to a browser that asks whether a page may send its request."""
        origin = exchange.headers.get("origin")
        headers = [("Allow", ", ".join(methods)), *self._allowed(origin)]
        if self.allows(origin):
            asked = exchange.headers.get("access-control-request-headers")
            allowed = ", ".join(self.headers) or asked
            headers.append(("Access-Control-Allow-Methods", ", ".join(methods)))
            headers.append(("Access-Control-Max-Age", str(self.max_age)))
            if allowed:
                headers.append(("Access-Control-Allow-Headers", allowed))
        return Reply(204, headers)

    def allows(self, origin: str | None) -> bool:
        """Return whether pages of `origin` may ask."""
        return bool(origin) and (ANY in self.origins or origin in self.origins)

    def _allowed(self, origin: str | None) -> Headers:
        if ANY in self.origins:
            return [("Access-Control-Allow-Origin", ANY)]
        headers = [("Vary", "Origin")]
        if origin and self.allows(origin):
            headers.append(("Access-Control-Allow-Origin", origin))
            if self.credentials:
                headers.append(("Access-Control-Allow-Credentials", "true"))
        return headers


def is_preflight(exchange: Any) -> bool:
    """Return whether a browser asks for a page whether that may send its request."""
    wanted = exchange.headers.get("access-control-request-method")
    return exchange.method == "OPTIONS" and wanted is not None


def reply_to_options(exchange: Any, methods: Sequence[str], cors: Cors | None) -> Reply:
    """Return the answer to OPTIONS; `cors` is that of what a browser asks for, if it does."""
    if cors is not None and is_preflight(exchange):
        return cors.preflight(exchange, methods)
    return Reply(204, [("Allow", ", ".join(methods))])


def _texts(name: str, value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(each, str) and each for each in texts):
        raise ConfigurationError(f"cors: {name} must be texts, not {value!r}")
    return texts


def cors_from(value: Any) -> Cors | None:
    """Return what an option asks for: a Cors, true for all origins, origins, or a mapping.

    None and false mean none. Raises ConfigurationError for anything else.
    """
    if value is None or value is False:
        return None
    if isinstance(value, Cors):
        return value
    if value is True:
        return Cors()
    if isinstance(value, Mapping):
        unknown = value.keys() - {field.name for field in fields(Cors)}
        if unknown:
            raise ConfigurationError(f"cors knows no option {', '.join(map(repr, unknown))}")
        return Cors(**value)
    if isinstance(value, (str, list, tuple, set, frozenset)):
        return Cors(tuple(value) if not isinstance(value, str) else value)
    raise ConfigurationError(f"cors must be true, origins, or a mapping of options, not {value!r}")
