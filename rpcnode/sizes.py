"""Sizes in bytes, as people write them."""

import re

_WRITTEN = re.compile(r"(\d{1,18}) ?(|B|[kK]B|MB|GB|KiB|MiB|GiB)")
_UNITS = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
}


def parse_size(value: object) -> int | None:
    """Return the bytes that a number, or a text such as "1MB" or "64 KiB", means.

    None for anything else, and for what is less than one byte.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value > 0 else None
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    return int(found[1]) * _UNITS[found[2].upper()] or None
