"""The embedded broker does nothing when there is nothing to do, and little when there is much."""

import itertools
from time import process_time

import pytest

from rpcnode.amqp.memory import reset
from rpcnode.concurrency import Event
from rpcnode.events import event_handler
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing import dummy, entrypoint_hook
from tests.amqp.conformance import Client

URI = "memory://cost"
GENEROUS = 3


class Service:
    name = "service"
    myself = RpcProxy("service")

    @dummy
    def ask(self):
        return self.myself.answer()

    @rpc
    def answer(self):
        return 42

    @event_handler("other", "happened")
    def hear(self, payload):
        """Wait for what never happens."""


@pytest.fixture
def client():
    client = Client(URI)
    yield client
    client.close()
    reset(URI)


def best(measure, *args, rounds=5):
    """Return the smallest of some measurements: what is more is noise."""
    return min(measure(*args) for _ in range(rounds))


def send(client, count, key="q", exchange="", keys=None):
    """Publish messages; return the seconds that each took."""
    message = client.channel.prepare_message(b"body")
    routing_keys = keys or itertools.repeat(key)
    started = process_time()
    for _ in range(count):
        client.channel.basic_publish(message, exchange, next(routing_keys))
    return (process_time() - started) / count


def test_hosted_service_costs_nothing_while_it_is_idle(container_factory, memory_config):
    container = container_factory(Service, memory_config)
    container.start()
    with entrypoint_hook(container, "ask") as ask:
        assert ask() == 42
    started = process_time()

    assert not Event().wait(1)

    assert process_time() - started < 0.05


def test_cost_of_a_message_does_not_grow_with_the_length_of_its_queue(client):
    def pass_through(count):
        client.declare()
        received = []
        started = process_time()
        send(client, count)
        client.channel.basic_qos(0, 10, False)

        def take(message):
            received.append(message)
            message.channel.basic_ack(message.delivery_tag)

        client.channel.basic_consume("q", consumer_tag="tag", callback=take)
        client.until(lambda: len(received) == count)
        seconds = process_time() - started
        client.channel.basic_cancel("tag")
        return seconds / count

    short = best(pass_through, 1_000)
    long = best(pass_through, 10_000)

    assert long < GENEROUS * short


@pytest.mark.parametrize("is_forward", [True, False])
def test_cost_of_giving_back_does_not_grow_with_what_is_unacked(client, is_forward):
    def give_back(count):
        client.declare()
        send(client, count)
        tags = [client.take(no_ack=False).delivery_tag for _ in range(count)]
        started = process_time()
        for tag in tags if is_forward else reversed(tags):
            client.channel.basic_reject(tag, requeue=True)
        seconds = process_time() - started
        client.channel.queue_delete("q")
        return seconds / count

    few = best(give_back, 1_000)
    many = best(give_back, 10_000)

    assert many < GENEROUS * few


def test_channels_that_hold_every_other_message_give_back_at_once(client):
    def give_back(count):
        client.declare()
        send(client, count)
        channels = [client.connection.channel() for _ in range(2)]
        for channel in itertools.islice(itertools.cycle(channels), count):
            channel.basic_get("q")
        started = process_time()
        for channel in channels:
            channel.close()
        seconds = process_time() - started
        client.channel.queue_delete("q")
        return seconds / count

    few = best(give_back, 1_000)
    many = best(give_back, 10_000)

    assert many < GENEROUS * few


@pytest.mark.parametrize("kind", ["direct", "topic"])
def test_publish_is_not_slowed_down_by_queues_that_are_bound_to_other_keys(client, kind):
    client.declare()
    new_keys = (f"new.{number}" for number in itertools.count())
    for name, bindings in (("small", 1), ("large", 2_000)):
        client.exchange(name, kind)
        for number in range(bindings):
            queue = client.declare(f"{name}-{number}")
            client.channel.queue_bind(queue, name, f"key.{number}")

    alone = best(lambda: send(client, 1_000, exchange="small", keys=new_keys))
    crowded = best(lambda: send(client, 1_000, exchange="large", keys=new_keys))

    assert crowded < GENEROUS * alone


def test_publish_to_a_known_key_is_not_slowed_down_by_patterns(client):
    for name, bindings in (("small", 1), ("large", 2_000)):
        client.exchange(name, "topic")
        for number in range(bindings):
            queue = client.declare(f"{name}-{number}")
            client.channel.queue_bind(queue, name, f"key.{number}.*")

    alone = best(lambda: send(client, 1_000, "other.key", exchange="small"))
    crowded = best(lambda: send(client, 1_000, "other.key", exchange="large"))

    assert crowded < GENEROUS * alone
