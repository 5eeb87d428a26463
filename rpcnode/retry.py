"""Retry: when a message whose handler failed is delivered again, and what comes after that."""

from rpcnode.backoff import Attempt, Exponential, Fixed, Linear
from rpcnode.exceptions import Reject, RetryLater
from rpcnode.extensions.aftermath import Failure
from rpcnode.extensions.retry import RetryInfo
from rpcnode.retries import Retry

__all__ = [
    "Attempt",
    "Exponential",
    "Failure",
    "Fixed",
    "Linear",
    "Reject",
    "Retry",
    "RetryInfo",
    "RetryLater",
]
