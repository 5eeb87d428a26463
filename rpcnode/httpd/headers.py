"""The header fields of a request."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

Default = TypeVar("Default")


@lru_cache(maxsize=256)
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin-1")


class RequestHeaders:
    """The fields in the order in which they were sent; names in any case; repeated ones kept."""

    __slots__ = ("_fields", "_found")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._fields = fields
        self._found: dict[str, list[str]] | None = None

    def get(self, name: str, default: Default | None = None) -> str | Default | None:
        """Return the value of a field, the first one if it is repeated."""
        # Most requests are asked for one or two fields: a dict of all would cost more.
        wanted = _encoded(name)
        size = len(wanted)
        for key, value in self._fields:
            if len(key) == size and key.lower() == wanted:
                return value.rstrip(b" \t").decode("latin-1")
        return default

    def getlist(self, name: str) -> list[str]:
        """Return all values of a field, in their order."""
        return list(self._values().get(name.lower(), ()))

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield names, as they were sent, and values."""
        for name, value in self._fields:
            yield name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1")

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values()

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"<RequestHeaders {', '.join(name for name, _ in self.items())}>"

    def _values(self) -> dict[str, list[str]]:
        if self._found is None:
            self._found = {}
            for name, value in self.items():
                self._found.setdefault(name.lower(), []).append(value)
        return self._found
