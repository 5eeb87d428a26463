"""`rpcnode show-config`: what is in force, and where it comes from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rpcnode.cli.options import config_from, make_parser
from rpcnode.config import mask_secrets

DESCRIPTION = """\
Show the value of each configuration key as YAML, and where it comes from. Passwords in URIs are
hidden, and so is what stands under a name that speaks of a password, secret, token, key or the
like."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    config = config_from(make_parser("show-config", DESCRIPTION).parse_args(arguments))
    for name, value in mask_secrets(config).items():
        shown = json.dumps(_plain(value), default=str)  # JSON is YAML, on one line
        print(f"{json.dumps(name) if ' ' in name else name}: {shown}  # {config.origins[name]}")
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
