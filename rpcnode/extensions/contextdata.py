"""Dependencies that tell a worker what is in its context."""

from typing import Any

from rpcnode.context import WorkerContext
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import DependencyProvider


class ContextDataProvider(DependencyProvider):
    """Injects one value of the context data, None where it is missing.

    Say which as an argument, or as the `context_key` of a derived class. Raises
    ConfigurationError when neither says it.
    """

    context_key = ""

    def __init__(self, context_key: str | None = None) -> None:
        if context_key is not None:
            self.context_key = context_key
        if not self.context_key:
            raise ConfigurationError(f"{type(self).__name__} wants a context_key")

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        """Return the value as it is now."""
        return worker_ctx.context_data.get(self.context_key)


class Language(ContextDataProvider):
    """Injects the language of whoever began the chain of calls."""

    context_key = "language"


class UserId(ContextDataProvider):
    """Injects the id of the user who began the chain of calls."""

    context_key = "user_id"


class UserAgent(ContextDataProvider):
    """Injects the user agent of whoever began the chain of calls."""

    context_key = "user_agent"


class AuthToken(ContextDataProvider):
    """Injects the token that came with the chain of calls."""

    context_key = "auth_token"


class CallStack(DependencyProvider):
    """Injects the ids of the calls that led here, oldest first, the own one last."""

    def get_dependency(self, worker_ctx: WorkerContext) -> list[str]:
        """Return a list that the worker may change."""
        return list(worker_ctx.call_id_stack)
