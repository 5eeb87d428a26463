"""Headers of a request that become context data, and travel on with calls."""

from collections.abc import Mapping
from typing import Any

from rpcnode.context import CALL_ID_STACK
from rpcnode.exceptions import ConfigurationError

AUTHORIZATION = "authorization"
_BEARER = "bearer "


class ContextHeaders:
    """What HTTP_CONTEXT_HEADERS asks for: names of headers, and keys of the context data.

    Of `Authorization` only a bearer token is taken, without the word. Raises
    ConfigurationError for what is not two texts, and for the call id stack, which is not
    the client's to tell.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        for header, key in wanted.items():
            if not isinstance(key, str) or not key or key == CALL_ID_STACK:
                raise ConfigurationError(
                    f"HTTP_CONTEXT_HEADERS: {header!r} cannot become context data {key!r}"
                )
        self._wanted = [(header.lower(), key) for header, key in wanted.items()]

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def read(self, headers: Any) -> dict[str, Any]:
        """Return the context data in the headers of a request."""
        found = {}
        for header, key in self._wanted:
            value = headers.get(header)
            if value is not None and header == AUTHORIZATION:
                value = _token(value)
            if value:
                found[key] = value
        return found


def _token(value: str) -> str | None:
    is_bearer = value[: len(_BEARER)].lower() == _BEARER
    return value[len(_BEARER) :].strip() if is_bearer else None
