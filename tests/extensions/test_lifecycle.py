"""Work at the start."""

import logging

from rpcnode.concurrency import Event, sleep
from rpcnode.containers import ServiceContainer
from rpcnode.extensions import DependencyProvider
from rpcnode.lifecycle import on_start
from rpcnode.runners import run_services


class Probe(DependencyProvider):
    def __init__(self, log):
        self.log = log

    def start(self):
        sleep()
        self.log.append("dependency")

    def get_dependency(self, worker_ctx):
        return worker_ctx.container.ready.is_set()


def make_service(method, **attributes):
    return type("Service", (), {"name": "service", "method": on_start(method), **attributes})


def test_method_runs_once_when_everything_has_started():
    log, done = [], Event()

    def method(self):
        log.append(("method", self.ready))
        done.set()

    with run_services(make_service(method, ready=Probe(log))):
        assert done.wait(5)

    assert log == ["dependency", ("method", True)]


def test_error_is_logged_and_the_service_goes_on(caplog):
    done = Event()

    def method(self):
        done.set()
        raise ValueError("start")

    with caplog.at_level(logging.ERROR), run_services(make_service(method)) as runner:
        assert done.wait(5)
        sleep()
        assert not runner.containers[0].is_stopping

    assert "ValueError: start" in caplog.text


def test_stop_waits_for_the_work_of_the_start():
    log, running = [], Event()

    def method(self):
        running.set()
        sleep(0.02)
        log.append("end")

    with run_services(make_service(method)):
        assert running.wait(5)

    assert log == ["end"]


def test_method_does_not_run_when_the_container_fails_to_start():
    log = []

    class Broken(DependencyProvider):
        def start(self):
            raise OSError

    container = ServiceContainer(make_service(lambda self: log.append(1), dep=Broken()), {})
    with_error = None
    try:
        container.start()
    except OSError as exc:
        with_error = exc
    sleep()

    assert with_error is not None
    assert log == []
