"""What Nameko's pages show of events: pools, singletons, broadcasts, and messages of any kind."""

from collections import Counter

import pytest
from kombu import Exchange, Queue

from rpcnode.events import BROADCAST, SERVICE_POOL, SINGLETON, EventDispatcher, event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.messaging import Publisher, consume
from rpcnode.rpc import rpc
from rpcnode.testing.services import entrypoint_hook, entrypoint_waiter
from tests.hosting import wait_until


class Notes(DependencyProvider):
    """Injects a function that notes what an instance of a service has heard."""

    def get_dependency(self, worker_ctx):
        method = worker_ctx.entrypoint.method_name
        return lambda: self.container.config["NOTES"].append((method, id(self.container)))


class Editor:
    name = "editor"
    dispatch = EventDispatcher()

    @rpc
    def publish(self, title):
        self.dispatch("published", {"title": title})


class Reader:
    name = "reader"
    note = Notes()

    @event_handler("editor", "published", handler_type=SERVICE_POOL)
    def read(self, payload):
        self.note()

    @event_handler("editor", "published", handler_type=SINGLETON)
    def archive(self, payload):
        self.note()

    @event_handler("editor", "published", handler_type=BROADCAST, reliable_delivery=False)
    def drop_cache(self, payload):
        self.note()


class Critic(Reader):
    name = "critic"


def test_event_reaches_one_of_a_pool_one_of_all_and_everybody(container_factory, memory_config):
    notes = []
    config = {**memory_config, "NOTES": notes}
    editor, *readers = [
        container_factory(each, config) for each in (Editor, Reader, Reader, Critic)
    ]
    for container in (*readers, editor):
        container.start()

    with entrypoint_hook(editor, "publish") as publish:
        publish("first")
        publish("second")

    # Two services have a pool, all share the singleton, and three instances hear a broadcast.
    wait_until(lambda: len(notes) == 2 * (2 + 1 + 3))
    assert Counter(method for method, _ in notes) == {"read": 4, "archive": 2, "drop_cache": 6}
    broadcasts = [instance for method, instance in notes if method == "drop_cache"]
    assert set(Counter(broadcasts).values()) == {2}


def test_event_that_nobody_waits_for_is_no_error(container_factory, memory_config):
    editor = container_factory(Editor, memory_config)
    editor.start()

    with entrypoint_hook(editor, "publish") as publish:
        assert publish("unheard") is None


TASKS = Queue("tasks", exchange=Exchange("work", type="direct"), routing_key="small")


class Boss:
    name = "boss"
    publish = Publisher(exchange=TASKS.exchange, declare=[TASKS])

    @rpc
    def want(self, task):
        self.publish({"task": task}, routing_key="small")


class Hand:
    name = "hand"

    @consume(TASKS)
    def work(self, payload):
        return f"done: {payload['task']}"


@pytest.mark.parametrize("task", ["dig", "mow"])
def test_message_goes_through_a_queue_of_ones_own(runner_factory, memory_config, task):
    runner = runner_factory(memory_config, Boss, Hand)
    runner.start()
    boss, hand = runner.service_map["boss"], runner.service_map["hand"]

    with entrypoint_waiter(hand, "work") as work, entrypoint_hook(boss, "want") as want:
        want(task)

    assert work.get() == f"done: {task}"
