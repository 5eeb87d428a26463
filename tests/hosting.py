"""Services hosted for a test, with somebody who calls them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from amqp.exceptions import ChannelError

from rpcnode.concurrency import sleep
from rpcnode.context import WorkerContext
from rpcnode.events import EventDispatcher
from rpcnode.extensions import Entrypoint
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import Publisher
from rpcnode.rpc import ClusterRpc
from rpcnode.runners import run_services
from tests.fast_path import FAST_PATH


class Caller:
    """A service that only calls; its name is that of no other."""

    name = "caller"
    rpc = ClusterRpc()
    dispatch = EventDispatcher()
    publish = Publisher()

    @Entrypoint.decorator
    def method(self): ...


class Hosted:
    """What a test gets: the runner, and the dependencies of a worker of the caller.

    The worker is never run: each attribute is what its dependency would be.
    """

    def __init__(self, runner):
        self.runner = runner
        self._caller = runner.service_map[Caller.name]
        self.rpc = self.dependency("rpc")
        self.dispatch = self.dependency("dispatch")
        self.publish = self.dependency("publish")

    def container(self, name):
        return self.runner.service_map[name]

    def dependency(self, name, context_data=None, deadline=None):
        container = self._caller
        entrypoint = container.entrypoints[0]
        ctx = WorkerContext(container, None, entrypoint, data=context_data, deadline=deadline)
        (provider,) = [each for each in container.dependencies if each.attr_name == name]
        return provider.get_dependency(ctx)

    def extension(self, cls, service=Caller.name):
        (found,) = [each for each in self.container(service).extensions if isinstance(each, cls)]
        return found


def take(services, queue):
    """Take a message from a queue, as soon as there is one; return it as the channel gives it."""

    def get():
        channel = services.extension(Messaging).connection.consuming.channel()
        try:
            message = channel.basic_get(queue)
        except ChannelError:
            return None
        if message is not None:
            channel.basic_ack(message.delivery_tag)
        channel.close()
        return message

    return wait_until(get)


@contextmanager
def hosted(config, *services) -> Iterator[Hosted]:
    """Host services, and a caller beside them."""
    with run_services({"AMQP_FAST_PATH": FAST_PATH, **config}, Caller, *services) as runner:
        yield Hosted(runner)


def hold_publishing(services, service="caller"):
    """Let nothing be published until the function that is returned is called.

    Nothing may have been published yet: it is the connection for it that is not made.
    """
    link = services.extension(Messaging, service).connection.publishing
    assert link.generation == 0
    link.start = lambda: None  # in the place of the method

    def go_on():
        del link.start
        link.start()

    return go_on


def wait_until(is_true, seconds=10):
    """Wait until a condition holds; fail when it does not in time. Return what it returned."""
    end = time.monotonic() + seconds
    while not (value := is_true()):
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        sleep(0.005)
    return value
