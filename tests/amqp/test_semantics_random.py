"""Both brokers side by side: the same random use has the same outcome."""

import itertools
import random
import secrets

import pytest
from amqp.exceptions import MessageNacked

from rpcnode.amqp.memory import reset
from tests.amqp.conformance import Client, bodies, redelivered

STEPS = 60
SEEDS = (1, 2)
QUEUES = {
    "unlimited": {},
    "drops its head": {"max_length": 4},
    "rejects": {"max_length": 4, "overflow": "reject-publish"},
    "rejects to the dead": {"max_length": 4, "overflow": "reject-publish-dlx"},
    "priorities": {"max_priority": 3},
}


class User:
    """Uses a broker as the random numbers say; what it sees depends on the broker alone."""

    def __init__(self, client, seed, arguments):
        self.client = client
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        self.unacked = []
        self.received = self.tag = None
        client.declare("dead")
        client.declare(dead_letter_exchange="", dead_letter_routing_key="dead", **arguments)

    def see(self):
        """Take a random step; return its name, its outcome, and what is where afterwards."""
        step = self.random.choice(
            [self.publish] * 4
            + [self.take, self.ack, self.reject, self.nack] * 2
            + [self.recover, self.purge, self.consume, self.cancel]
        )
        outcome = step()
        self.client.flush("q", "dead")
        return (
            step.__name__,
            outcome,
            self.client.count("q"),
            sorted(self.client.take_all("dead")),  # of one nack, RabbitMQ sorts them its own way
            bodies(self.received or []),
            redelivered(self.received or []),
        )

    def publish(self):
        body, priority = b"%d" % next(self.numbers), self.random.randrange(5)
        try:
            self.client.publish(body=body, priority=priority)
        except MessageNacked:
            return "refused"
        return body

    def take(self):
        message = self.client.take(no_ack=False)
        if message is None:
            return None
        self.unacked.append(message.delivery_tag)
        return bytes(message.body), message.delivery_info["redelivered"]

    def ack(self):
        is_multiple = self.random.random() < 0.3
        for tag in self._pick(is_multiple):
            self.client.channel.basic_ack(tag, multiple=is_multiple)

    def reject(self):
        requeue = self.random.random() < 0.7
        for tag in self._pick(False):
            self.client.channel.basic_reject(tag, requeue=requeue)

    def nack(self):
        requeue, is_multiple = self.random.random() < 0.7, not self._is_mixed()
        for tag in self._pick(is_multiple):
            self.client.nack(tag, multiple=is_multiple, requeue=requeue)

    def recover(self):
        if self._is_mixed():
            return
        self.unacked = []
        if self.received is not None:
            self.received.clear()
        self.client.channel.basic_recover(requeue=True)

    def purge(self):
        return self.client.channel.queue_purge("q")

    def consume(self):
        if self.received is None:
            self.tag = f"tag-{next(self.numbers)}"
            self.received = self.client.consume(prefetch=2, consumer_tag=self.tag)

    def cancel(self):
        if self.received is not None:
            self.unacked += [message.delivery_tag for message in self.received]
            self.received = None
            self.client.channel.basic_cancel(self.tag)

    def _is_mixed(self):
        """Return whether what is unacked came in two ways: see `DIFFERENCES`."""
        return bool(self.unacked and self.received)

    def _pick(self, is_multiple):
        """Return one tag that is unacked, or none; forget it, and those before it."""
        tags = self.unacked + [message.delivery_tag for message in self.received or []]
        if not tags:
            return []
        chosen = self.random.choice(tags)
        gone = {tag for tag in tags if tag == chosen or (is_multiple and tag < chosen)}
        self.unacked = [tag for tag in self.unacked if tag not in gone]
        if self.received is not None:
            kept = [message for message in self.received if message.delivery_tag not in gone]
            self.received[:] = kept
        return [chosen]


@pytest.fixture
def both(vhost_uri):
    """Clients of both brokers."""
    uri = f"memory://test-{secrets.token_hex(4)}"
    clients = [Client(uri), Client(vhost_uri)]
    yield clients
    for client in clients:
        client.close()
    reset(uri)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("arguments", QUEUES.values(), ids=QUEUES)
def test_both_brokers_answer_the_same_to_random_use(both, arguments, seed):
    embedded, rabbitmq = (User(client, seed, arguments) for client in both)

    for step in range(STEPS):
        assert (step, embedded.see()) == (step, rabbitmq.see())
