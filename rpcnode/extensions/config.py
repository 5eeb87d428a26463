"""The configuration as a dependency."""

from collections.abc import Mapping
from typing import Any

from rpcnode.context import WorkerContext
from rpcnode.extensions.base import DependencyProvider


class Config(DependencyProvider):
    """Injects the configuration of the container, a mapping that cannot be changed."""

    def get_dependency(self, worker_ctx: WorkerContext) -> Mapping[str, Any]:
        """Return it; every worker sees the same one."""
        config: Mapping[str, Any] = self.container.config
        return config
