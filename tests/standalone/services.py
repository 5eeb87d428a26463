"""What the clients of the tests call; it is hosted by the process of the tests."""

from rpcnode.concurrency import sleep
from rpcnode.context import WorkerContext
from rpcnode.events import event_handler
from rpcnode.exceptions import deserialize_to_instance
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc


@deserialize_to_instance
class NotInStock(Exception):
    """An error that both sides know."""


class Context(DependencyProvider):
    """Injects the context of the worker."""

    def get_dependency(self, worker_ctx: WorkerContext):
        return worker_ctx


class Shop:
    name = "shop"
    context = Context()
    heard: list = []
    ran: list = []

    @rpc
    def echo(self, value):
        return value

    @rpc
    def fail(self):
        raise ValueError("this cannot be")

    @rpc
    def order(self, what):
        raise NotInStock(what)

    @rpc
    def wait(self, seconds):
        sleep(seconds)
        return seconds

    @rpc
    def note(self, value):
        self.ran.append(value)

    @rpc
    def seen(self):
        """Return what a service sees of its caller."""
        message = self.context.message
        return {
            "data": self.context.data,
            "headers": dict(message.headers.items()),
            "remaining": self.context.remaining(),
        }

    @event_handler("orders", "placed")
    def placed(self, payload):
        self.heard.append(payload)


class Fresh(Shop):
    """Made anew for each test, so that what it notes is the test's own."""

    def __init_subclass__(cls):
        cls.heard, cls.ran = [], []
