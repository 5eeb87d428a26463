"""What every call has, whoever makes it: its time, how others learn of that, and its outcome."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

from rpcnode.amqp.message import Outgoing
from rpcnode.context import WorkerContext, deadline_headers
from rpcnode.exceptions import (
    PublishRejected,
    RpcTimeout,
    UndecodableMessage,
    UnknownService,
    deserialize,
)
from rpcnode.proxies import MethodProxy

LONGEST_LIFE = 1e8  # seconds, three years: brokers know a limit, calls need not
NO_REPLY = ""  # no `reply_to` at all would kill a service that runs on Nameko


@dataclass(slots=True)  # not frozen, which would take longer to make: each call makes one
class Budget:
    """How long a call may take: `seconds` from its beginning, `ends` by the monotonic clock."""

    seconds: float | None
    ends: float | None

    @classmethod
    def of(cls, seconds: float | None, worker_ctx: WorkerContext) -> Self:
        """Return the smaller of `seconds` and what the worker has left."""
        remaining = worker_ctx.remaining()
        if remaining is not None and (seconds is None or remaining < seconds):
            seconds = remaining
        return cls.lasting(seconds)

    @classmethod
    def lasting(cls, seconds: float | None) -> Self:
        """Return a time that begins now."""
        return cls(seconds, None if seconds is None else monotonic() + seconds)

    def left(self) -> float | None:
        """Return the seconds that are left, at least 0; None for no limit."""
        return None if self.ends is None else max(0.0, self.ends - monotonic())


def milliseconds(seconds: float) -> str:
    """Return a message's expiration as AMQP wants it: a text, in milliseconds, at least 1."""
    if seconds < 0:
        raise PublishRejected(f"a message cannot expire in {seconds} s")
    return str(max(1, round(seconds * 1000)))


def limit(request: Outgoing, budget: Budget) -> None:
    """Tell broker and callee how long the caller will wait from now on."""
    left = budget.left()
    if left is not None:
        left = min(left, LONGEST_LIFE)
        request.properties["expiration"] = milliseconds(left)
        request.headers.update(deadline_headers(left, time.time()))


def renew_limit(request: Outgoing, budget: Budget) -> None:
    """Tell them anew, if they were told: the request had to wait."""
    if "expiration" in request.properties:
        limit(request, budget)


def timed_out(method: MethodProxy, budget: Budget, why: object = None) -> RpcTimeout:
    """Return the error of a call whose time is over; `why` says what it waited for in vain."""
    within = "" if budget.seconds is None else f" within {budget.seconds:.3g} s"
    text = f"no reply from {method.full_name}{within}"
    return RpcTimeout(text if why is None else f"{text}: {why}")


def unknown(method: MethodProxy) -> UnknownService:
    """Return the error of a call that the broker returned: it was not run, and may be repeated."""
    error = UnknownService(method.service_name, method.method_name)
    error.is_retryable = True
    return error


def result_of(reply: Any, method: MethodProxy) -> Any:
    """Return the result that a reply holds, or raise its error."""
    if not isinstance(reply, (dict, Mapping)):  # `dict` is here for its speed
        raise UndecodableMessage(f"{method.full_name}: the reply is no object")
    if reply.get("error"):
        raise deserialize(reply["error"], method.full_name)
    return reply.get("result")
