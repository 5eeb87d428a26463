"""Where the replies to a container's calls arrive."""

import uuid
from typing import Any

from rpcnode.amqp.entities import reply_queue, rpc_exchange
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.replies import ReplyTable, unguessable_ids
from rpcnode.concurrency import Event
from rpcnode.exceptions import ConnectionLost
from rpcnode.extensions.base import SharedExtension
from rpcnode.extensions.connection import Messaging


class ReplyListener(SharedExtension):
    """Consumes the reply queue of a container, and gives replies to who waits for them.

    The queue outlives a lost connection, and so do the calls in flight; when it is gone, they
    fail, and another takes its place: the broker may know the name of the old one still, on a
    node that is down. `address` is what requests carry as `reply_to`; each takes the next of
    `ids` as its correlation id.
    """

    messaging = Messaging()

    def setup(self) -> None:
        """Make the reply queue's consumer."""
        self.address = _new_address()
        self.ids = unguessable_ids()
        self.exchange: str = self.container.config["RPC_EXCHANGE"]
        self._table = ReplyTable()
        self.messaging.declare(rpc_exchange(self.exchange))
        self._consumer = self.messaging.consume(
            self._queue, self._receive, acks_together=True, on_queue_lost=self._queue_lost
        )

    def start(self) -> None:
        """Listen; BrokerRefused when the queue cannot be had."""
        self._consumer.start()

    def stop(self) -> None:
        """Delete the queue: nobody calls any more."""
        self._consumer.cancel()
        self._consumer.delete_queue()

    @property
    def pending(self) -> int:
        """How many calls wait for their reply."""
        return len(self._table)

    @property
    def unexpected(self) -> int:
        """How many replies came that nobody waited for: late ones, and duplicates."""
        return self._table.unexpected

    @property
    def is_attached(self) -> bool:
        """Whether replies can arrive."""
        return self._consumer.is_attached

    def wait_attached(self, timeout: float | None) -> bool:
        """Wait until replies can arrive, at most `timeout` seconds; return whether they can."""
        return self._consumer.wait_attached(timeout)

    def expect(self, correlation_id: str, pending: Event[Delivery]) -> None:
        """Enter a call that is about to be sent."""
        self._table.expect(correlation_id, pending)

    def is_expected(self, correlation_id: str) -> bool:
        """Return whether anybody waits for that reply."""
        return correlation_id in self._table

    def fail(self, correlation_id: str, error: BaseException) -> None:
        """Give an error to who waits for that reply."""
        self._table.fail(correlation_id, error)

    def forget(self, correlation_id: str) -> None:
        """Nobody waits for that reply any more."""
        self._table.forget(correlation_id)

    def _receive(self, delivery: Delivery) -> None:
        # The reader calls this. Reading the reply is left to who waits for it.
        self._table.settle(delivery.properties.get("correlation_id"), delivery)
        delivery.ack()

    def _queue(self) -> Any:
        name, exchange = self.container.service_name, rpc_exchange(self.exchange)
        return reply_queue(name, self.address, exchange)

    def _queue_lost(self) -> None:
        self.address = _new_address()
        self._table.fail_all(
            ConnectionLost("the reply queue is gone, so that the outcome is unknown")
        )


def _new_address() -> str:
    return str(uuid.uuid4())
