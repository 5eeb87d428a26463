"""The table of publishes that the broker has not confirmed yet. It does no I/O."""

import logging
from collections.abc import Callable

from rpcnode.amqp.message import Outgoing

logger = logging.getLogger(__name__)

Settle = Callable[[BaseException | None], object]


class ConfirmTable:
    """Sequence numbers of one channel -> who hears about the outcome.

    The numbers are those of RabbitMQ's publisher confirms: the first publish of a channel in
    confirm mode is 1. Each entry is settled exactly once: with None when the broker took the
    message, else with the error. A returned message is also acked by the broker, later.
    """

    def __init__(self) -> None:
        self._last = 0
        self._oldest = 1  # nothing below it is pending: acks of many begin here
        self._pending: dict[int, tuple[Outgoing, Settle]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, message: Outgoing, settle: Settle) -> None:
        """Enter the publish that was just written."""
        self._last += 1
        self._pending[self._last] = (message, settle)

    def settle(self, tag: int, multiple: bool, error: BaseException | None = None) -> None:
        """Settle one publish, or all up to it; `error` is None for an ack."""
        if not multiple:
            self._settle_one(tag, error)
            # Those behind it may be settled already: confirms come in any order.
            while self._oldest <= self._last and self._oldest not in self._pending:
                self._oldest += 1
            return
        # 0 means all there are, and what was not sent yet cannot be meant.
        last = min(tag or self._last, self._last)
        oldest, self._oldest = self._oldest, max(self._oldest, last + 1)
        for older in range(oldest, last + 1):
            self._settle_one(older, error)

    def settle_returned(self, message_id: str, error: BaseException) -> None:
        """Settle the oldest publish of a message that came back.

        Its ack follows, so it is near the beginning.
        """
        for tag, (message, _settle) in self._pending.items():
            if message.mandatory and message.id == message_id:
                self._settle_one(tag, error)
                return

    def settle_last(self, count: int, error: BaseException) -> None:
        """Settle the publishes that were written last: they were never sent."""
        for tag in range(self._last - count + 1, self._last + 1):
            self._settle_one(tag, error)

    def settle_all(self, error_for: Callable[[Outgoing], BaseException]) -> None:
        """Settle what is left, each with the error that is made for it: the channel is gone."""
        for tag, (message, _settle) in list(self._pending.items()):
            self._settle_one(tag, error_for(message))

    def _settle_one(self, tag: int, error: BaseException | None) -> None:
        entry = self._pending.pop(tag, None)
        if entry is None:
            return
        try:
            entry[1](error)
        except Exception:  # the next ones must hear of their outcome, too
            logger.error("%r failed", entry[1], exc_info=True)
