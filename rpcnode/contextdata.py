"""Dependencies that tell a worker what is in its context."""

from rpcnode.extensions.contextdata import (
    AuthToken,
    CallStack,
    ContextDataProvider,
    Language,
    UserAgent,
    UserId,
)

__all__ = ["AuthToken", "CallStack", "ContextDataProvider", "Language", "UserAgent", "UserId"]
