"""The embedded broker's side of a connection: its inbox, and its channels' sessions.

What a consumer receives waits in the inbox until the connection's reader takes it; only then
it gets its delivery tag.
"""

import secrets
from collections import deque
from collections.abc import Callable
from itertools import takewhile

from amqp.exceptions import NotAllowed, PreconditionFailed

from rpcnode.amqp.membroker import Broker
from rpcnode.amqp.memqueue import Consumer, Entry, Queue

Notice = Callable[[], object]


class Peer:
    """One connection, as the broker sees it; `wake` is called when the inbox gets something."""

    def __init__(self, broker: Broker, wake: Callable[[], object]) -> None:
        self.broker = broker
        self.inbox: deque[tuple[Consumer, Entry] | Notice] = deque()
        self.sessions: list[Session] = []
        self._wake = wake

    def post(self, consumer: Consumer, entry: Entry) -> None:
        """Let the reader hand an entry over."""
        self.inbox.append((consumer, entry))
        self._wake()

    def notify(self, notice: Notice) -> None:
        """Let the reader call `notice`, after what is in the inbox now."""
        self.inbox.append(notice)
        self._wake()

    def retract(self, is_meant: Callable[[Consumer], bool]) -> list[tuple[Consumer, Entry]]:
        """Take back from the inbox what was not handed over yet."""
        kept: list[tuple[Consumer, Entry] | Notice] = []
        retracted: list[tuple[Consumer, Entry]] = []
        for one in self.inbox:
            if isinstance(one, tuple) and is_meant(one[0]):
                retracted.append(one)
            else:
                kept.append(one)
        self.inbox.clear()
        self.inbox.extend(kept)
        return retracted

    def close(self) -> None:
        """Leave: give back what is not acknowledged, delete exclusive queues."""
        sessions, self.sessions = self.sessions, []
        # First all consumers go, so that nothing comes back to this connection.
        for session in sessions:
            session.drop_consumers()
        for session in sessions:
            session.return_all()
        self.broker.remove_queues_of(self)


class Session:
    """One channel, as the broker sees it: consumers, delivery tags, what is not acknowledged."""

    def __init__(self, peer: Peer, on_consumer_lost: Callable[[str], object]) -> None:
        self.peer = peer
        self.on_consumer_lost = on_consumer_lost
        self.prefetch = 0
        self.consumers: dict[str, Consumer] = {}
        self.unacked: dict[int, tuple[Consumer | None, Queue, Entry]] = {}
        self._last_tag = 0
        peer.sessions.append(self)

    def consume(self, queue_name: str, tag: str, *, no_ack: bool, exclusive: bool) -> Consumer:
        """Add a consumer; what is ready goes to it at once, as far as its prefetch allows."""
        broker = self.peer.broker
        queue = broker.queue(queue_name, self.peer)
        tag = tag or f"amq.ctag-{secrets.token_urlsafe(16)}"
        if tag in self.consumers:
            raise NotAllowed(f"NOT_ALLOWED - attempt to reuse consumer tag '{tag}'")
        if queue.consumers and (exclusive or any(one.is_exclusive for one in queue.consumers)):
            raise broker.refuse_exclusive_use(queue)
        consumer = Consumer(tag, queue, self, self.prefetch)
        consumer.is_no_ack, consumer.is_exclusive = no_ack, exclusive
        self.consumers[tag] = consumer
        queue.add_consumer(consumer)
        return consumer

    def cancel(self, tag: str) -> None:
        """Remove a consumer; what it was not handed yet goes back, the rest stays unacked."""
        consumer = self.consumers.pop(tag, None)
        if consumer is None:
            return
        retracted = self.peer.retract(lambda one: one is consumer)
        consumer.queue.remove_consumer(consumer)
        consumer.queue.requeue([entry for _consumer, entry in retracted])

    def consumer_lost(self, consumer: Consumer) -> None:
        """Tell the channel that the broker cancelled a consumer."""
        self.consumers.pop(consumer.tag, None)
        self.peer.notify(lambda: self.on_consumer_lost(consumer.tag))

    def get(self, queue_name: str, *, no_ack: bool) -> tuple[int, Entry, Queue] | None:
        """Take one message from a queue, with its new delivery tag."""
        queue = self.peer.broker.queue(queue_name, self.peer)
        entry = queue.get()
        if entry is None:
            return None
        self._last_tag += 1
        if not no_ack:
            self.unacked[self._last_tag] = (None, queue, entry)
        return self._last_tag, entry, queue

    def hand_over(self, consumer: Consumer, entry: Entry) -> int:
        """Return the delivery tag of an entry that the consumer gets now."""
        self._last_tag += 1
        if consumer.is_no_ack:
            consumer.pending -= 1
        else:
            self.unacked[self._last_tag] = (consumer, consumer.queue, entry)
        return self._last_tag

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Forget what the consumer is done with."""
        if not multiple and tag in self.unacked:  # the hot path
            consumer, queue, _entry = self.unacked.pop(tag)
            if consumer is not None:
                consumer.pending -= 1
            if queue.ready:
                queue.dispatch()
            return
        for queue in self._settle(tag, multiple):
            queue.dispatch()

    def reject(self, tag: int, *, multiple: bool, requeue: bool) -> None:
        """Give deliveries back to their queues, or let them die."""
        for queue, entries in self._settle(tag, multiple).items():
            if requeue:
                queue.requeue(entries)
                continue
            for entry in entries:
                self.peer.broker.dead_letter(queue, entry.message, "rejected")
            queue.dispatch()

    def return_all(self) -> None:
        """Give back everything that is not acknowledged."""
        retracted = self.peer.retract(lambda one: one.session is self)
        returned = self._settle(0, multiple=True)
        for consumer, entry in retracted:
            consumer.pending -= 1
            returned.setdefault(consumer.queue, []).append(entry)
        for queue, entries in returned.items():
            queue.requeue(entries)

    def recover(self) -> None:
        """Give back what was handed over and is not acknowledged."""
        for queue, entries in self._settle(0, multiple=True).items():
            queue.requeue(entries)

    def drop_consumers(self) -> None:
        """Remove all consumers."""
        consumers, self.consumers = self.consumers, {}
        for consumer in consumers.values():
            consumer.queue.remove_consumer(consumer)

    def close(self) -> None:
        """Leave: give back what is not acknowledged."""
        if self in self.peer.sessions:
            self.peer.sessions.remove(self)
            self.drop_consumers()
            self.return_all()

    def _settle(self, tag: int, multiple: bool) -> dict[Queue, list[Entry]]:
        """Take deliveries off the table; return them by queue."""
        if tag == 0 and multiple:
            tags = list(self.unacked)
        elif tag not in self.unacked:
            raise PreconditionFailed(f"PRECONDITION_FAILED - unknown delivery tag {tag}")
        else:
            # They are in order: what comes after `tag` need not be looked at.
            tags = list(takewhile(tag.__ge__, self.unacked)) if multiple else [tag]
        settled: dict[Queue, list[Entry]] = {}
        for one in tags:
            consumer, queue, entry = self.unacked.pop(one)
            if consumer is not None:
                consumer.pending -= 1
            settled.setdefault(queue, []).append(entry)
        return settled
