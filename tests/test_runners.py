"""Hosting several services."""

import subprocess
import sys

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions import DependencyProvider
from rpcnode.runners import ServiceRunner, run_services


class Probe(DependencyProvider):
    """Writes down its hooks; fails or hangs in its setup if it is told to."""

    def __init__(self, label, log, setup=None):
        self.label, self.log, self.on_setup = label, log, setup

    def setup(self):
        self.log.append(("setup", self.label))
        if self.on_setup:
            self.on_setup()

    def stop(self):
        self.log.append(("stop", self.label))

    def kill(self):
        self.log.append(("kill", self.label))


def make_service(label, log, setup=None):
    return type(label.title(), (), {"name": label, "probe": Probe(label, log, setup)})


@pytest.fixture
def log():
    return []


@pytest.fixture
def services(log):
    return [make_service("first", log), make_service("second", log)]


def make_runner(*services):
    runner = ServiceRunner({})
    for service_cls in services:
        runner.add_service(service_cls)
    return runner


def fail():
    raise OSError("broken")


def test_runner_knows_its_containers(services):
    runner = make_runner(*services)

    assert runner.service_names == ["first", "second"]
    assert [container.service_cls for container in runner.containers] == services
    assert runner.service_map["first"] is runner.containers[0]
    assert runner.container_cls is ServiceContainer


def test_containers_share_their_resources(services):
    runner = make_runner(*services)

    assert {container.resources for container in runner.containers} == {runner.resources}


def test_two_services_of_one_name_are_refused(log):
    runner = make_runner(make_service("shop", log))

    class Other:
        name = "shop"

    with pytest.raises(ConfigurationError, match=r"'shop'.*\.Shop and .*\.Other"):
        runner.add_service(Other)


def test_all_services_start_and_stop(services, log):
    runner = make_runner(*services)

    runner.start()
    runner.stop()
    runner.wait()

    assert log == [("setup", "first"), ("setup", "second"), ("stop", "first"), ("stop", "second")]


def test_service_that_is_slow_to_start_does_not_hold_up_the_others(log):
    go_on = Event()
    slow, fast = make_service("slow", log, go_on.wait), make_service("fast", log)
    runner = make_runner(slow, fast)
    starting = spawn(runner.start)

    sleep(0.01)
    assert runner.service_map["fast"].ready.is_set()
    assert not starting.dead

    go_on.set()
    starting.wait()
    runner.stop()


def test_failing_start_stops_all_services_even_one_that_hangs(log):
    runner = make_runner(
        make_service("good", log),
        make_service("hanging", log, lambda: Event().wait()),
        make_service("bad", log, fail),
    )

    with pytest.raises(OSError, match="broken"):
        runner.start()

    assert ("stop", "good") in log
    assert ("kill", "hanging") in log


def test_start_ends_when_the_runner_is_stopped_meanwhile(log):
    runner = make_runner(make_service("hanging", log, lambda: Event().wait()))
    starting = spawn(runner.start)
    sleep(0.01)

    runner.stop()
    starting.wait()
    runner.wait()

    assert ("kill", "hanging") in log


def test_service_that_dies_stops_the_others_and_its_error_is_raised(services, log):
    runner = make_runner(*services)
    runner.start()
    waiting = spawn(runner.wait)

    runner.containers[0].kill((OSError, OSError("broken"), None))

    with pytest.raises(OSError, match="broken"):
        waiting.wait()
    assert ("stop", "second") in log


def test_service_that_stops_in_good_order_does_not_stop_the_others(services, log):
    runner = make_runner(*services)
    runner.start()
    waiting = spawn(runner.wait)

    runner.containers[0].stop()
    sleep(0.01)

    assert not waiting.dead
    assert ("stop", "second") not in log
    runner.stop()
    waiting.wait()


def test_kill_ends_all_services_at_once(services, log):
    runner = make_runner(*services)
    runner.start()

    runner.kill()
    runner.wait()

    assert log[-2:] == [("kill", "first"), ("kill", "second")]


def test_runner_without_services_ends_at_once():
    runner = make_runner()

    runner.start()
    runner.wait()

    assert runner.containers == []


@pytest.mark.parametrize("config", [[{"max_workers": 3}], [None], []])
def test_run_services_hosts_them_as_long_as_its_block(config, services, log):
    with run_services(*config, *services) as runner:
        assert [container.ready.is_set() for container in runner.containers] == [True, True]
        assert log == [("setup", "first"), ("setup", "second")]

    assert runner.containers[0].max_workers == (3 if config and config[0] else 10)
    assert log[2:] == [("stop", "first"), ("stop", "second")]


class Greeter:
    name = "greeter"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (({}, "hello"), "a service must be a class, not 'hello'"),
        (({}, Greeter()), "a service must be a class, not a Greeter object"),
        ((Greeter(),), "must be a mapping of keys, not a Greeter object"),
        (("config.yaml", Greeter), "must be a mapping of keys, not 'config.yaml'"),
        ((Greeter, {"A": 1}), "a service must be a class, not a dict object"),
    ],
)
def test_run_services_says_what_is_wanted_in_the_place_of_what(arguments, error):
    with pytest.raises(ConfigurationError, match=error), run_services(*arguments):
        pass


@pytest.mark.parametrize(
    ("uri", "is_patched", "warnings"),
    [("amqp://127.0.0.1:1", False, 1), ("memory://", False, 0), ("amqp://127.0.0.1:1", True, 0)],
)
def test_unpatched_process_is_told_once_that_it_should_not_be(uri, is_patched, warnings):
    patch = "from rpcnode.concurrency import monkey_patch; monkey_patch()" if is_patched else ""
    program = f"""
{patch}
import logging
logging.basicConfig()
from rpcnode.runners import run_services

class First:
    name = "first"

class Second:
    name = "second"

with run_services({{"AMQP_URI": "{uri}"}}, First, Second):
    pass
"""

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert result.stderr.count("WARNING") == warnings
    assert result.stderr.count("rpcnode.concurrency.monkey_patch()") == warnings


@pytest.mark.parametrize(("kill_on_exit", "hook"), [(False, "stop"), (True, "kill")])
def test_run_services_ends_them_when_its_block_raises(kill_on_exit, hook, services, log):
    with (
        pytest.raises(ZeroDivisionError),
        run_services({}, *services, kill_on_exit=kill_on_exit),
    ):
        1 / 0

    assert log[2:] == [(hook, "first"), (hook, "second")]
