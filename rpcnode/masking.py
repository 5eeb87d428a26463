"""What may be shown of a value: everything but its secrets."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "********"

_SECRET_NAME = re.compile("PASSWORD|PASSWD|SECRET|TOKEN|KEY", re.IGNORECASE)
_ALTERNATES = re.compile(r"(;)(?=[A-Za-z][\w.+-]*://)")
# A password may hold anything, if its user forgot to quote it, so it goes on to the last `@`:
# this rather hides too much of an odd address than a part of a password.
_PASSWORD = re.compile(r"((?:[A-Za-z][\w.+-]*://|^(?![A-Za-z][\w.+-]*://))[^:]*:).*@", re.DOTALL)
# The beginning of a password that holds a `;`: what stands after a host would be a port.
_NO_PORT = re.compile(r"(^(?:[A-Za-z][\w.+-]*://)?[^:/\[]*:)(?!\d*(?:$|[/?]))(?!//).*", re.DOTALL)
_SECRET_OPTION = re.compile(
    r"([?&][^=&]*(?:password|passwd|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE
)


def mask_uri(uri: str) -> str:
    """Return a URI fit to be shown: the password of each of its `;`-separated parts is hidden."""
    return "".join(_mask_part(part) for part in _ALTERNATES.split(uri))


def _mask_part(part: str) -> str:
    masked = _PASSWORD.sub(rf"\g<1>{MASK}@", part)
    if masked == part:
        masked = _NO_PORT.sub(rf"\g<1>{MASK}", part)
    return _SECRET_OPTION.sub(rf"\g<1>{MASK}", masked)


def mask_secrets(value: Any, name: str = "") -> Any:
    """Return `value` fit to be shown, at any depth; `name` is the key that it stands under.

    Hidden are what stands under a name that speaks of a password, secret, token or key, and
    the passwords of URIs.
    """
    if value is not None and _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, Mapping):
        return {mask_secrets(key): mask_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [mask_secrets(each) for each in value]
    if isinstance(value, tuple):
        return tuple(mask_secrets(each) for each in value)
    return mask_uri(value) if isinstance(value, str) and "://" in value else value
