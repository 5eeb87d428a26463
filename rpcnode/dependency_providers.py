"""The configuration as a dependency."""

from rpcnode.extensions.config import Config

__all__ = ["Config"]
