"""What may be shown of a value: everything but its secrets."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "********"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of names: DB_PASS, dbPass, db-pass
# Words run together are told by their beginning or end: DBPASSWORD, apikey, authtoken.
_SECRET_WORD = re.compile(
    ".*(?:passw|passphrase|passcode|secret|token|credential).*|pw"
    "|.*(?:pass|pwd|keys?|auth|authorization|authentication|dsns?)",
    re.IGNORECASE,
)
_HARMLESS_WORD = re.compile(
    "(?:by|com|encom|over|sur|tres|under)pass|(?:don|hot|joc|mon|tur)keys?", re.IGNORECASE
)
_URI_WORD = re.compile("ur[il]s?", re.IGNORECASE)

_SCHEME = r"[A-Za-z][\w.+-]*://"
_ALTERNATES = re.compile(rf"(;)(?={_SCHEME})")
# A password may hold anything, if its user forgot to quote it, so it goes on to the last `@`:
# this rather hides too much of an odd address than a part of a password.
_PASSWORD = re.compile(rf"((?:{_SCHEME}|^(?!{_SCHEME}))[^:]*:).*@", re.DOTALL)
# The beginning of a password that holds a `;`: what stands after a host would be a port.
# The colon of a variable, `${NAME:default}`, is another one.
_NO_PORT = re.compile(
    rf"(^(?:{_SCHEME})?(?:\$\{{[^{{}}]*\}}|(?!\$\{{)[^:/\[])*:)(?!\d*(?:$|[/?]))(?!//).*",
    re.DOTALL,
)
_QUERY_OPTION = re.compile(r"([?&])([^=&]*)(=)([^&]*)")
# `password='a b'` in a connection string; without quotes it ends where another option begins.
_OPTION = re.compile(
    r"(?<![\w.-])()([\w.-]+)(\s*=\s*)"
    r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\{[^}]*\}|(?:(?!\s|[&;]\s*(?:[\w .-]+=|$)).)+)"""
)


def mask_uri(uri: str) -> str:
    """Return a URI fit to be shown: the password of each of its `;`-separated parts is hidden."""
    return "".join(_mask_part(part) for part in _ALTERNATES.split(uri))


def _mask_part(part: str) -> str:
    masked = _PASSWORD.sub(rf"\g<1>{MASK}@", part)
    if masked == part:
        masked = _NO_PORT.sub(rf"\g<1>{MASK}", part)
    return _mask_options(masked)


def _mask_text(text: str) -> str:
    if re.match(_SCHEME, text):
        return mask_uri(text)
    return _mask_options(_PASSWORD.sub(rf"\g<1>{MASK}@", text) if "://" in text else text)


def _mask_options(text: str) -> str:
    return _OPTION.sub(_mask_option, _QUERY_OPTION.sub(_mask_option, text))


def _mask_option(match: re.Match[str]) -> str:
    before, name, equals, _ = match.groups()
    return f"{before}{name}{equals}{MASK}" if is_secret(name) else match[0]


def is_secret(name: str) -> bool:
    """Return whether a word of `name` speaks of a password, secret, token, key or the like."""
    return any(
        _SECRET_WORD.fullmatch(word) and not _HARMLESS_WORD.fullmatch(word)
        for word in _WORD.findall(name)
    )


def mask_secrets(value: Any, name: str = "") -> Any:
    """Return `value` fit to be shown, at any depth; `name` is the key that it stands under.

    Hidden are what stands under a name that speaks of a secret, in texts (`password=...`) too,
    and the passwords of URIs. What stands under the name of a URI is taken for one.
    """
    if value is not None and is_secret(name):
        return MASK
    if isinstance(value, Mapping):
        return {mask_secrets(key): mask_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [mask_secrets(each, name) for each in value]
    if isinstance(value, tuple):
        return tuple(mask_secrets(each, name) for each in value)
    if not isinstance(value, str):
        return value
    is_uri = any(map(_URI_WORD.fullmatch, _WORD.findall(name)))
    return mask_uri(value) if is_uri else _mask_text(value)


def describe(value: Any) -> str:
    """Return words for a value that was given in place of another: what it is, and no secrets."""
    if isinstance(value, type):
        return f"the class {value.__module__}.{value.__qualname__}"
    if value is None or isinstance(value, (str, int, float)):
        return repr(mask_secrets(value, "uri"))
    return f"a {type(value).__name__} object"
