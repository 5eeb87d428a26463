"""Services whose handlers fail, for tests of what comes after that."""

import time

from amqp.exceptions import NotFound

from rpcnode.events import event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.message_handler import MessageHandler
from rpcnode.retry import Fixed, Retry, RetryInfo

SOURCE = "caller"  # the service of the tests' caller
OWNER = "evt-caller-placed--service.handle"
DEAD = f"{OWNER}.dead"
SOON = Retry(3, Fixed(0.1), jitter=0)


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Run:
    """One run of a handler: what it got, what it knew, when it was."""

    def __init__(self, payload, service):
        self.payload, self.at = payload, time.time()
        self.message, self.info = service.message, service.info


def on(event="placed", **options):
    return event_handler(SOURCE, event, **options)


def make_service(runs, fail, service_name="service", handler=on(), base=object):  # noqa: B008 (once)
    """Return a service that notes each run, then calls `fail(run)`; what that raises counts."""

    class Service(base):
        name = service_name
        message = CurrentMessage()
        info = RetryInfo()

        def handle(self, payload):
            run = Run(payload, self)
            runs.append(run)
            fail(run)

        handle = handler(handle)

    return Service


DISK = OSError("disk")


def failing(error=DISK, times=100):
    """Return what fails the first `times` runs."""
    left = [error] * times

    def fail(_run):
        if left:
            raise left.pop()

    return fail


def headers_of(message):
    return message.properties["application_headers"]


def handler_of(services, name="service"):
    return services.extension(MessageHandler, name)


def depth(services, queue):
    """Return how many messages wait in a queue; None when there is no such queue."""
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        return channel.queue_declare(queue, passive=True).message_count
    except NotFound:
        return None
    finally:
        channel.close()
