"""Starting, stopping and killing a container."""

import logging
import time
from fractions import Fraction

import pytest

from rpcnode import containers
from rpcnode.concurrency import Event, GreenletExit, call_later, kill, sleep, spawn
from rpcnode.containers import ServiceContainer, get_container_cls, get_service_name
from rpcnode.exceptions import ConfigurationError, ContainerBeingKilled, RpcNodeError
from rpcnode.extensions import DependencyProvider, Entrypoint, Extension, SharedExtension
from tests.hosting import wait_until

dummy = Entrypoint.decorator


class Logged:
    """Mixed into an extension: writes down its hooks, and fails where it is told to."""

    def __init__(self, label, log, fail_in=None):
        self.label, self.log, self.fail_in = label, log, fail_in
        super().__init__()

    def note(self, hook):
        self.log.append((hook, self.label))
        if hook == self.fail_in:
            raise OSError(f"{hook} of {self.label}")

    def setup(self):
        self.note("setup")

    def start(self):
        self.note("start")

    def stop(self):
        self.note("stop")

    def kill(self):
        self.note("kill")


class Part(Logged, Extension):
    pass


class Provider(Logged, DependencyProvider):
    pass


class Trigger(Logged, Entrypoint):
    pass


def logged_service(log, **failing):
    """Make a service: two providers, the first of which uses a part, and an entrypoint."""

    class WithPart(Provider):
        part = Part("part", log, failing.get("part"))

    class Service:
        name = "service"
        first = WithPart("first", log, failing.get("first"))
        second = Provider("second", log, failing.get("second"))

        @Trigger.decorator("trigger", log, failing.get("trigger"))
        def method(self): ...

    return Service


ALL = ["part", "first", "second", "trigger"]


def labels(log, hook):
    return [label for each, label in log if each == hook]


class Worker:
    """A service whose worker runs until it is told to end."""

    def __init__(self):
        self.running, self.end, self.log = Event(), Event(), []
        worker = self

        class Service:
            name = "service"
            dep = Provider("dep", self.log)

            @dummy
            def method(self):
                worker.running.set()
                worker.end.wait()
                worker.log.append("worker ended")

        self.service_cls = Service

    def start_in(self, container):
        container.spawn_worker(container.entrypoints[0], (), {})
        assert self.running.wait(5)


def make_container(service_cls=None, **config):
    class Empty:
        name = "service"

    return ServiceContainer(service_cls or Empty, config)


def test_container_knows_its_service():
    container = make_container(logged_service([]), MAX_WORKERS=3)

    assert container.service_name == "service"
    assert container.max_workers == container.default_lane.max_workers == 3
    assert container.interface is container
    assert [provider.attr_name for provider in container.dependencies] == ["first", "second"]
    assert [entrypoint.method_name for entrypoint in container.entrypoints] == ["method"]
    assert [extension.label for extension in container.extensions] == ALL
    assert repr(container) == "<ServiceContainer service>"


def test_shared_extension_is_one_of_the_sub_extensions_once():
    class Shared(SharedExtension):
        pass

    class User(DependencyProvider):
        shared = Shared()

    class Service:
        name = "service"
        a, b = User(), User()

    container = make_container(Service)

    assert container.subextensions == list(container.shared_extensions.values())


@pytest.mark.parametrize("name", [None, "", 7, b"service"])
def test_service_needs_a_name(name):
    class Nameless:
        pass

    if name is not None:
        Nameless.name = name

    with pytest.raises(ConfigurationError, match="Nameless"):
        get_service_name(Nameless)


def test_arguments_in_each_others_place_are_told():
    class Greeter:
        name = "greeter"

    with pytest.raises(ConfigurationError, match="a service must be a class, not a dict object"):
        ServiceContainer({}, Greeter)
    with pytest.raises(ConfigurationError, match=r"mapping of keys, not the class .*\.Greeter"):
        get_container_cls(Greeter)
    with pytest.raises(ConfigurationError, match="mapping of keys, not 'config.yaml'"):
        ServiceContainer(Greeter, "config.yaml")


def test_container_class_can_be_configured():
    assert get_container_cls({}) is ServiceContainer
    assert get_container_cls({"SERVICE_CONTAINER_CLS": "fractions.Fraction"}) is Fraction
    for path in ("no.such.thing", "os.getcwd"):
        with pytest.raises(ConfigurationError, match=path):
            get_container_cls({"SERVICE_CONTAINER_CLS": path})


def test_call_ids_can_be_predicted_by_a_patch(monkeypatch):
    ids = iter(["0", "1"])
    monkeypatch.setattr(containers, "new_call_id", lambda: next(ids))
    worker = Worker()
    worker.end.set()
    container = make_container(worker.service_cls)
    (entrypoint,) = container.entrypoints

    spawned = container.spawn_worker(entrypoint, (), {})
    run = container.run_worker(entrypoint, (), {})

    assert [spawned.call_id, run.call_id] == ["service.method.0", "service.method.1"]


def test_everything_is_set_up_before_anything_starts_and_what_is_used_comes_first():
    log = []

    make_container(logged_service(log)).start()

    assert log == [("setup", each) for each in ALL] + [("start", each) for each in ALL]


def test_container_is_ready_when_everything_has_started():
    ready = []

    class Probe(Extension):
        def start(self):
            ready.append(self.container.ready.is_set())

    class Owner(DependencyProvider):
        probe = Probe()

    class Service:
        name = "service"
        dep = Owner()

    container = make_container(Service)
    assert not container.started
    container.start()

    assert ready == [False]
    assert container.started
    assert container.ready.is_set()


def test_failing_setup_stops_what_was_set_up_and_is_raised():
    log = []
    container = make_container(logged_service(log, second="setup"))

    with pytest.raises(OSError, match="setup of second"):
        container.start()

    assert labels(log, "start") == []
    assert labels(log, "stop") == ["first", "part"]
    assert labels(log, "kill") == ["second"]  # it may have made something


def test_failing_start_stops_everything_and_is_raised():
    log = []
    container = make_container(logged_service(log, second="start"))

    with pytest.raises(OSError, match="start of second"):
        container.start()

    assert labels(log, "stop") == ["trigger", "second", "first", "part"]
    assert not container.ready.is_set()


def test_container_that_failed_to_start_has_died():
    container = make_container(logged_service([], part="setup"))
    with pytest.raises(OSError, match="setup of part"):
        container.start()

    container.stop()
    with pytest.raises(OSError, match="setup of part"):
        container.wait()


def test_container_starts_only_once():
    container = make_container()
    container.start()

    with pytest.raises(RpcNodeError, match="twice"):
        container.start()
    container.stop()
    with pytest.raises(RpcNodeError, match="make a new one"):
        container.start()


class Stuck(Logged, DependencyProvider):
    """A provider whose setup never returns."""

    def setup(self):
        super().setup()
        Event().wait()


def stuck_service(log):
    class Service:
        name = "service"
        first = Provider("first", log)
        stuck = Stuck("stuck", log)

    return Service


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_start_that_hangs_ends_when_the_container_is_told_to(how):
    log = []
    container = make_container(stuck_service(log))
    starting = spawn(container.start)
    sleep(0.01)

    getattr(container, how)()
    starting.wait()
    container.wait()

    assert ("kill", "stuck") in log
    assert (how, "first") in log
    assert not container.ready.is_set()


def test_setup_that_swallows_its_end_is_the_last():
    log = []

    class Deaf(Stuck):
        def setup(self):
            try:
                super().setup()
            except BaseException:
                log.append(("swallowed", self.label))

    class Service:
        name = "service"
        deaf = Deaf("deaf", log)
        last = Provider("last", log)

    container = make_container(Service)
    starting = spawn(container.start)
    sleep(0.01)

    container.stop()
    starting.wait()

    assert log == [("setup", "deaf"), ("swallowed", "deaf"), ("stop", "deaf")]


def test_stop_before_the_start_has_begun_is_fine():
    log = []
    container = make_container(logged_service(log))
    starting = spawn(container.start)
    call_later(0, lambda: spawn(container.stop))

    starting.wait()
    container.wait()

    assert labels(log, "setup")[::-1] == labels(log, "stop")


def test_start_whose_caller_is_killed_leaves_nothing_behind():
    log = []
    container = make_container(stuck_service(log))
    starting = spawn(container.start)
    sleep(0.01)

    kill(starting)
    container.wait()

    assert labels(log, "kill") == ["stuck", "first"]


def test_stop_ends_entrypoints_first_and_sub_extensions_last():
    log = []
    container = make_container(logged_service(log))
    container.start()

    container.stop()

    assert labels(log, "stop") == ALL[::-1]
    assert labels(log, "kill") == []


def test_dependencies_stay_until_the_last_worker_has_ended():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.start()
    worker.start_in(container)

    stop = spawn(container.stop)
    sleep(0.01)
    assert not stop.dead
    worker.end.set()
    stop.wait()

    assert worker.log.index("worker ended") < worker.log.index(("stop", "dep"))


def test_extensions_retire_while_workers_still_begin():
    worker, log = Worker(), []
    container = make_container(worker.service_cls, MAX_WORKERS=1)
    (provider,) = container.dependencies

    def retire():
        ended = Event()
        container.default_lane.submit(ended.set, lambda: log.append("dropped"))
        worker.end.set()
        log.append(ended.wait(5))

    provider.retire = retire
    container.start()
    worker.start_in(container)

    container.stop()

    assert log == [True]
    assert worker.log.index("worker ended") < worker.log.index(("stop", "dep"))


def test_extension_that_fails_to_retire_keeps_no_other_from_stopping(caplog):
    log = []
    container = make_container(logged_service(log))

    def retire():
        raise LookupError("retiring")

    container.dependencies[0].retire = retire
    container.start()

    container.stop()

    assert labels(log, "stop") == ALL[::-1]
    assert "LookupError: retiring" in caplog.text


def test_container_tells_what_keeps_it_from_working():
    container = make_container()
    told = [container.problems()]
    container.start()
    told.append(container.problems())
    container.health_checks.append(lambda: ["the disk is full"])
    told.append(container.problems())

    container.stop()

    assert [*told, container.problems()] == [
        ["service is starting"],
        [],
        ["service: the disk is full"],
        ["service is stopping"],
    ]


def test_worker_that_takes_too_long_is_killed(caplog):
    worker = Worker()
    container = make_container(worker.service_cls, SHUTDOWN_TIMEOUT=0.02)
    container.start()
    worker.start_in(container)

    with caplog.at_level(logging.WARNING):
        container.stop()

    assert "worker ended" not in worker.log
    assert worker.log[-1] == ("stop", "dep")
    assert container.default_lane.running == 0
    assert "1 of 10" in caplog.text


def test_killed_workers_of_all_lanes_have_their_grace_at_the_same_time(monkeypatch):
    monkeypatch.setattr("rpcnode.shutdown.STOP_GRACE", 0.5)
    started, torn_down = [], Event()

    class Slow(DependencyProvider):
        def worker_teardown(self, worker_ctx):
            torn_down.wait()

    def work():
        started.append(None)
        Event().wait()

    class Service:
        name = "service"
        slow = Slow()

        @Entrypoint.decorator(max_workers=1)
        def first(self):
            work()

        @Entrypoint.decorator(max_workers=1)
        def second(self):
            work()

        @Entrypoint.decorator(max_workers=1)
        def third(self):
            work()

    container = make_container(Service, SHUTDOWN_TIMEOUT=0)
    container.start()
    for entrypoint in container.entrypoints:
        container.spawn_worker(entrypoint, (), {})
    wait_until(lambda: len(started) == 3)

    began = time.monotonic()
    container.stop()

    assert 0.5 <= time.monotonic() - began < 1
    torn_down.set()


def test_jobs_that_were_not_started_are_dropped():
    worker, dropped = Worker(), []
    container = make_container(worker.service_cls, MAX_WORKERS=1)
    container.start()
    worker.start_in(container)
    container.default_lane.submit(lambda: dropped.append("run"), lambda: dropped.append("drop"))

    stop = spawn(container.stop)
    sleep(0.01)
    assert dropped == ["drop"]
    worker.end.set()
    stop.wait()

    assert dropped == ["drop"]


def test_stopping_container_refuses_workers():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.start()
    container.stop()

    with pytest.raises(ContainerBeingKilled, match="service is stopping"):
        container.spawn_worker(container.entrypoints[0], (), {})


@pytest.mark.parametrize("failing", ALL)
def test_failing_stop_keeps_no_other_from_stopping(failing, caplog):
    log = []
    container = make_container(logged_service(log, **{failing: "stop"}))
    container.start()

    with caplog.at_level(logging.ERROR):
        container.stop()
    container.wait()

    assert labels(log, "stop") == ALL[::-1]
    assert f"stop of {failing}" in caplog.text


@pytest.mark.parametrize("base", [DependencyProvider, Entrypoint])
def test_stop_that_hangs_is_killed_after_its_time(base, monkeypatch, caplog):
    monkeypatch.setattr("rpcnode.shutdown.STOP_GRACE", 0.01)
    log = []

    class Hanging(Logged, base):
        def stop(self):
            super().stop()
            Event().wait()

    class Service:
        name = "service"
        dep = Provider("dep", log)
        if base is DependencyProvider:
            hanging = Hanging("hanging", log)
        else:

            @Hanging.decorator("hanging", log)
            def method(self): ...

    container = make_container(Service, SHUTDOWN_TIMEOUT=0.01)
    container.start()

    with caplog.at_level(logging.ERROR):
        container.stop()

    assert log[-3:] == [("stop", "hanging"), ("kill", "hanging"), ("stop", "dep")]
    assert "does not stop" in caplog.text


def test_entrypoints_stop_at_the_same_time():
    meeting = []

    class Meeting(Entrypoint):
        def stop(self):
            meeting.append(self)
            while len(meeting) < 2:
                sleep(0.001)

    class Service:
        name = "service"

        @Meeting.decorator
        @Meeting.decorator
        def method(self): ...

    container = make_container(Service, SHUTDOWN_TIMEOUT=1)
    container.start()
    container.stop()

    assert len(meeting) == 2


def test_everyone_who_stops_waits_for_the_end():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.start()
    worker.start_in(container)

    stops = [spawn(container.stop) for _ in range(2)]
    sleep(0.01)
    assert not any(stop.dead for stop in stops)
    worker.end.set()
    for stop in stops:
        stop.wait()
    container.stop()

    assert worker.log.count(("stop", "dep")) == 1


def test_container_that_was_never_started_can_be_stopped():
    log = []
    container = make_container(logged_service(log))

    container.stop()
    container.wait()

    assert log == []


def test_workers_run_in_a_container_that_was_not_started():
    worker = Worker()
    worker.end.set()
    container = make_container(worker.service_cls)

    worker.start_in(container)
    container.default_lane.wait(5)

    assert "worker ended" in worker.log


def test_kill_ends_workers_extensions_and_threads_at_once():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.start()
    worker.start_in(container)
    thread = container.spawn_managed_thread(Event().wait)

    container.kill()

    assert thread.dead
    assert container.default_lane.running == 0
    assert labels([e for e in worker.log if e != "worker ended"], "kill") == ["dep"]
    assert "worker ended" not in worker.log
    container.wait()


def test_wait_raises_what_the_container_was_killed_with():
    container = make_container()
    container.start()
    waiters = [spawn(container.wait) for _ in range(2)]
    error = OSError("broken")

    container.kill((OSError, error, None))

    for waiter in waiters:
        with pytest.raises(OSError, match="broken"):
            waiter.wait()


def test_container_is_killed_once():
    log = []
    container = make_container(logged_service(log))
    container.start()

    container.kill()
    container.kill((OSError, OSError("late"), None))
    container.wait()

    assert labels(log, "kill") == ["trigger", "second", "first", "part"]


@pytest.mark.parametrize("failing", ALL)
def test_failing_kill_keeps_no_other_from_being_killed(failing):
    log = []
    container = make_container(logged_service(log, **{failing: "kill"}))
    container.start()

    container.kill()
    container.wait()

    assert sorted(labels(log, "kill")) == sorted(ALL)


def test_kill_cuts_a_stop_short():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.start()
    worker.start_in(container)
    stop = spawn(container.stop)
    sleep(0.01)

    container.kill()
    stop.wait()

    assert ("stop", "dep") not in worker.log
    assert ("kill", "dep") in worker.log


def test_container_that_is_killed_refuses_workers_and_threads():
    worker = Worker()
    container = make_container(worker.service_cls)
    container.kill()

    with pytest.raises(ContainerBeingKilled):
        container.spawn_worker(container.entrypoints[0], (), {})
    with pytest.raises(ContainerBeingKilled):
        container.run_worker(container.entrypoints[0], (), {})
    with pytest.raises(ContainerBeingKilled):
        container.spawn_managed_thread(sleep)


def test_who_waits_for_a_worker_is_refused_when_the_container_is_killed():
    worker = Worker()
    container = make_container(worker.service_cls, MAX_WORKERS=1)
    worker.start_in(container)
    waiting = spawn(container.spawn_worker, container.entrypoints[0], (), {})
    sleep()

    container.kill()

    with pytest.raises(ContainerBeingKilled):
        waiting.wait()


def test_worker_may_kill_its_container():
    class Service:
        name = "service"
        log = []

        @dummy
        def method(self):
            container.kill()
            self.log.append("went on")

    container = make_container(Service)
    container.spawn_worker(container.entrypoints[0], (), {})
    container.wait()
    container.default_lane.wait(1)

    assert Service.log == ["went on"]


@pytest.mark.parametrize("error", [OSError, SystemExit])
def test_error_in_a_managed_thread_kills_the_container(error, caplog):
    log = []
    container = make_container(logged_service(log))
    container.start()

    def work():
        raise error("broken")

    with caplog.at_level(logging.CRITICAL):
        container.spawn_managed_thread(work, "worker bee")
        with pytest.raises(error, match="broken"):
            container.wait()

    assert sorted(labels(log, "kill")) == sorted(ALL)
    assert "worker bee" in caplog.text
    assert len(caplog.records) == 1


def test_managed_thread_may_end_or_be_killed():
    container = make_container()
    container.start()

    container.spawn_managed_thread(sleep).wait()
    thread = container.spawn_managed_thread(Event().wait)
    sleep()
    kill(thread)

    with pytest.raises(GreenletExit):
        thread.wait()
    assert not container.is_stopping


def test_managed_threads_are_killed_after_everything_has_stopped():
    log = []
    container = make_container(logged_service(log))
    container.start()

    def work():
        try:
            Event().wait()
        finally:
            log.append(("end", "thread"))

    container.spawn_managed_thread(work)
    sleep()
    container.stop()

    assert log[-1] == ("end", "thread")


def test_container_knows_the_names_of_its_serializers():
    class Service:
        name = "service"

    assert ServiceContainer(Service, {}).serializer == "json"
    assert ServiceContainer(Service, {}).accept == ["json"]
    config = {"serializer": "msgpack", "ACCEPT": ("json", "msgpack")}
    assert ServiceContainer(Service, config).serializer == "msgpack"
    assert ServiceContainer(Service, config).accept == ["json", "msgpack"]
