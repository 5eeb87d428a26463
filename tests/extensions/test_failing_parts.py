"""What callers and queues see when a part of a service fails, on both brokers."""

import pytest

from rpcnode.events import event_handler
from rpcnode.exceptions import RemoteError
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc
from tests.hosting import hosted, take, wait_until


class Failing(DependencyProvider):
    """Fails in one of its hooks, the first time."""

    def __init__(self, hook):
        self.hook = hook
        self.failures = 1

    def fail(self, hook):
        if hook == self.hook and self.failures:
            self.failures -= 1
            raise OSError(f"{hook} failed")

    def get_dependency(self, worker_ctx):
        self.fail("get_dependency")

    def worker_setup(self, worker_ctx):
        self.fail("worker_setup")

    def worker_complete(self, worker_ctx, result=None, exc_info=None):
        self.fail("worker_complete")

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        self.fail("worker_result")

    def worker_teardown(self, worker_ctx):
        self.fail("worker_teardown")


def make_service(hook, got):
    class Service:
        name = "service"
        failing = Failing(hook)

        @rpc
        def method(self):
            return "returned"

        @event_handler("caller", "placed")
        def handle(self, payload):
            got.append(payload)

    return Service


@pytest.mark.parametrize("hook", ["get_dependency", "worker_setup", "worker_complete"])
def test_failing_dependency_is_the_callers_error(config, hook):
    with hosted(config, make_service(hook, [])) as services:
        with pytest.raises(RemoteError, match=f"OSError {hook} failed"):
            services.rpc.service.method()

        assert services.rpc.service.method() == "returned"


@pytest.mark.parametrize("hook", ["get_dependency", "worker_setup", "worker_complete"])
def test_failing_dependency_sends_the_event_to_the_dead_queue(config, hook):
    got = []
    with hosted(config, make_service(hook, got)) as services:
        services.dispatch("placed", 1)
        dead = take(services, "evt-caller-placed--service.handle.dead")
        services.dispatch("placed", 2)
        wait_until(lambda: 2 in got)

    assert dead.properties["application_headers"]["rpcnode-exc-message"] == f"{hook} failed"


@pytest.mark.parametrize("hook", ["worker_result", "worker_teardown"])
def test_observer_that_fails_changes_nothing(config, caplog, hook):
    with hosted(config, make_service(hook, [])) as services:
        assert services.rpc.service.method() == "returned"
        wait_until(lambda: f"failed in {hook}" in caplog.text)
        assert services.rpc.service.method() == "returned"


def test_service_whose_init_fails_is_the_callers_error(config):
    class Service:
        name = "service"
        failures = [OSError("no disk")]

        def __init__(self):
            if self.failures:
                raise self.failures.pop()

        @rpc
        def method(self):
            return "returned"

    with hosted(config, Service) as services:
        with pytest.raises(RemoteError, match="OSError no disk"):
            services.rpc.service.method()
        assert services.rpc.service.method() == "returned"


def test_dependency_whose_setup_fails_stops_the_start(config):
    class Broken(DependencyProvider):
        def setup(self):
            raise OSError("no disk")

    class Service:
        name = "service"
        broken = Broken()

        @rpc
        def method(self): ...

    with pytest.raises(OSError, match="no disk"), hosted(config, Service):
        pass
