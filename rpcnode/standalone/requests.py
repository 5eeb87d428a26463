"""What the I/O thread is asked for: a message to send, and whoever waits for its outcome.

The I/O thread calls everything here but `Pending.cancel`.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from amqp import spec
from amqp.exceptions import ChannelError, NotFound

from rpcnode.amqp.declaring import refused
from rpcnode.amqp.message import Delivery, Outgoing
from rpcnode.calls import Budget, renew_limit, timed_out, unknown
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    UndeliverableMessage,
)
from rpcnode.proxies import MethodProxy
from rpcnode.standalone.timers import Timer
from rpcnode.standalone.waiting import refuse_in_io_thread


class Pending(Future[Any]):
    """A future whose cancellation withdraws the request."""

    on_cancel: Callable[[], object] | None = None

    def cancel(self) -> bool:
        """Stop waiting; a request that was not sent yet never is."""
        on_cancel = self.on_cancel
        is_cancelled = super().cancel()
        if is_cancelled and on_cancel is not None:
            on_cancel()
        return is_cancelled

    def result(self, timeout: float | None = None) -> Any:
        """Return the result or raise the error; wait at most `timeout` seconds for it."""
        if not self.done():
            refuse_in_io_thread()
        return super().result(timeout)


class Request:
    """A message to be published once, within its time.

    `entity` is declared before the first message of its name on each connection. `is_written`
    says that the broker may have the message.
    """

    def __init__(self, message: Outgoing, budget: Budget, future: Pending, entity: Any) -> None:
        self.message = message
        self.budget = budget
        self.future = future
        self.entity = entity
        self.sending = budget  # the time until it is written
        self.is_written = False
        self.is_done = False
        self._was_declared_again = False
        self.timer: Timer | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"a message for exchange {self.message.exchange!r}"

    def prepare(self, reply_address: str, new_id: str) -> None:
        """Complete the message; called right before it is written."""

    def confirmed(self) -> None:
        """Take the broker's confirm."""
        self.finish(None)

    def finish(self, result: Any) -> None:
        """Give the result to whoever waits, once."""
        if self._close():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give an error to whoever waits, once: what it means for this request."""
        if self._close():
            self.future.set_exception(self.translated(error))

    def withdraw(self) -> None:
        """Take note that nobody waits any more."""
        self.is_done = True
        self.future.on_cancel = None  # no cycle stays: clients that nobody has end at once
        if self.timer is not None:
            self.timer.cancel()

    def _close(self) -> bool:
        if self.is_done:
            return False
        self.withdraw()
        return self.future.set_running_or_notify_cancel()

    def time_is_over(self, why: object) -> Exception:
        """Return the error of a request whose time is over; `why` names a lack of connection."""
        if self.is_written:
            return PublishTimeout(
                f"the broker did not confirm {self.name} within {self.budget.seconds} s"
            )
        return BrokerUnavailable(f"{self.name} was not sent within {self.budget.seconds} s: {why}")

    def is_worth_declaring(self, error: BaseException) -> bool:
        """Return whether the exchange is gone, so that it helps to declare it; once True."""
        is_missing = isinstance(error.__cause__, NotFound) and isinstance(error, PublishRejected)
        if self.entity is None or not is_missing or self._was_declared_again:
            return False
        self._was_declared_again = True
        return True

    def translated(self, error: BaseException) -> BaseException:
        """Return what an error of publishing means for this request."""
        cause = error.__cause__
        if isinstance(cause, ChannelError) and cause.method_sig == spec.Exchange.Declare:
            return refused(self.entity, cause)
        return error


class Cast(Request):
    """A call without a reply."""

    def __init__(
        self, message: Outgoing, budget: Budget, future: Pending, entity: Any, method: MethodProxy
    ) -> None:
        super().__init__(message, budget, future, entity)
        self.method = method

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.method.full_name

    def time_is_over(self, why: object) -> Exception:
        """Return the error of a call whose time is over."""
        reason = "the broker did not confirm the request" if self.is_written else why
        return timed_out(self.method, self.budget, reason)

    def translated(self, error: BaseException) -> BaseException:
        """Return what an error of publishing means for this call."""
        if isinstance(error, UndeliverableMessage):
            returned = unknown(self.method)
            returned.__cause__ = error
            return returned
        error = super().translated(error)
        if not isinstance(error, (ConnectionLost, PublishRejected)):
            return error
        named = type(error)(f"{self.name}: {error}")
        named.__cause__ = error
        return named


class Call(Cast):
    """A call with a reply; `decode` returns the result in it or raises its error."""

    def __init__(
        self,
        message: Outgoing,
        budget: Budget,
        future: Pending,
        entity: Any,
        method: MethodProxy,
        decode: Callable[[Delivery, MethodProxy], Any],
    ) -> None:
        super().__init__(message, budget, future, entity, method)
        self.correlation_id = ""  # none before it is written
        self._decode = decode

    def prepare(self, reply_address: str, new_id: str) -> None:
        """Say where the reply goes, under which id, and how much time is left."""
        self.correlation_id = new_id
        self.message.properties["correlation_id"] = new_id
        self.message.properties["reply_to"] = reply_address
        renew_limit(self.message, self.budget)

    def confirmed(self) -> None:
        """Go on waiting: a confirm says nothing about the reply."""

    def set(self, delivery: Delivery) -> None:
        """Take the reply."""
        if not self._close():
            return
        try:
            result = self._decode(delivery, self.method)
        except BaseException as exc:  # whatever it is, it is the outcome of this call
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)

    def time_is_over(self, why: object) -> Exception:
        """Return the error of a call whose time is over."""
        return timed_out(self.method, self.budget, None if self.is_written else why)
