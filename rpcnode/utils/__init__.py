"""Small things that Nameko's users import from here."""

import re
from collections.abc import Mapping
from typing import Any

from rpcnode.config import mask_uri as sanitize_url
from rpcnode.extensions.base import Entrypoint
from rpcnode.locating import locate

__all__ = ["REDACTED", "get_redacted_args", "import_from_path", "sanitize_url"]

REDACTED = "********"


def get_redacted_args(entrypoint: Entrypoint, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what each parameter of the entrypoint's method gets, fit to be shown.

    What `sensitive_arguments` names is redacted: `password`, or parts of an argument, such as
    `user.password` and `users[0].password`. The arguments themselves are not changed.
    """
    arguments: Any = entrypoint.signature.arguments(args, kwargs)
    for path in entrypoint.sensitive_arguments:
        arguments = _redacted(arguments, re.findall(r"[^.\[\]]+", path))
    return dict(arguments)


def _redacted(value: Any, path: list[str]) -> Any:
    if not path:
        return REDACTED
    key, *rest = path
    if isinstance(value, Mapping) and key in value:
        return {**value, key: _redacted(value[key], rest)}
    if isinstance(value, (list, tuple)) and key.isdecimal() and int(key) < len(value):
        index = int(key)
        return [*value[:index], _redacted(value[index], rest), *value[index + 1 :]]
    return value


def import_from_path(path: str | None) -> Any:
    """Return the object at a dotted path, None for None; ImportError when there is none."""
    if path is None:
        return None
    found = locate(path)
    if found is None:
        raise ImportError(f"there is nothing at {path!r}")
    return found
