"""`rpcnode test`: pytest, with the standard library patched before it loads anything."""

from collections.abc import Sequence
from importlib import import_module

from rpcnode.exceptions import CommandError

# Pytest's plugin of ours is imported late, because the patch must come first.
IGNORED = "ignore:Module already imported:pytest.PytestWarning"


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments; return its exit code."""
    try:
        pytest = import_module("pytest")
    except ModuleNotFoundError as exc:
        raise CommandError("pytest is not installed: pip install pytest") from exc
    return int(pytest.main(["-W", IGNORED, *arguments]))
