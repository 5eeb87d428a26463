"""Fire a method at intervals."""

from rpcnode.extensions.timer import Timer, timer

__all__ = ["Timer", "timer"]
