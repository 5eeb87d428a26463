"""Fire a method when the container has started."""

from rpcnode.extensions.lifecycle import OnStart, on_start

__all__ = ["OnStart", "on_start"]
