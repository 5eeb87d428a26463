"""Services that stop, in good order or not, while messages wait."""

from contextlib import contextmanager

from rpcnode.concurrency import Event, spawn
from rpcnode.containers import ServiceContainer
from tests.fast_path import FAST_PATH
from tests.hosting import wait_until


@contextmanager
def running(config, service):
    """Host a service; stop it in good order, unless it was killed."""
    container = make(config, service)
    container.start()
    yield container
    container.stop()


def stop_while_waiting(config, service, count):
    """Stop a service in good order whose only worker is busy, and for whom `count` calls wait."""
    container, busy = make(config, service), Event()
    lane = container.default_lane
    lane.spawn(busy.wait)
    container.start()
    wait_until(lambda: lane.pending == count)
    stopping = spawn(container.stop)
    wait_until(lambda: lane.pending == 0)
    busy.set()
    stopping.wait()


def make(config, service):
    return ServiceContainer(service, {"AMQP_FAST_PATH": FAST_PATH, **config})
