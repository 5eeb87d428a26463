"""The life of a worker, step by step."""

import gc
import logging
import time
import weakref

import pytest

from rpcnode.concurrency import Event, GreenletExit, Timeout, kill, sleep
from rpcnode.containers import ServiceContainer
from rpcnode.exceptions import DeadlineExceeded
from rpcnode.extensions import DependencyProvider, Entrypoint

dummy = Entrypoint.decorator
PHASES = ["get_dependency", "worker_setup", "worker_complete", "worker_result", "worker_teardown"]


class Tracer(DependencyProvider):
    """Writes down the hooks that are called, and fails in one of them if asked to."""

    def __init__(self, label, log, fail_in=None, error=KeyError):
        self.label, self.log, self.fail_in, self.error = label, log, fail_in, error

    def note(self, phase, *outcome):
        self.log.append((phase, self.label, *outcome))
        if phase == self.fail_in:
            raise self.error(f"{phase} of {self.label}")

    def get_dependency(self, worker_ctx):
        self.note("get_dependency")
        return self.label

    def worker_setup(self, worker_ctx):
        self.note("worker_setup")

    def worker_complete(self, worker_ctx, result=None, exc_info=None):
        self.note("worker_complete", outcome_of(result, exc_info))

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        self.note("worker_result", outcome_of(result, exc_info))

    def worker_teardown(self, worker_ctx):
        self.note("worker_teardown")


def outcome_of(result, exc_info):
    return result if exc_info is None else exc_info[0]


class Handler:
    """A `handle_result` that remembers."""

    def __init__(self, log=None):
        self.log = [] if log is None else log
        self.outcomes = []
        self.encoded = None

    def __call__(self, worker_ctx, result, exc_info):
        self.log.append(("handle_result",))
        self.encoded = worker_ctx.encoded_result
        self.outcomes.append((result, exc_info))
        return result, exc_info

    @property
    def result(self):
        ((result, exc_info),) = self.outcomes
        assert exc_info is None
        return result

    @property
    def error(self):
        ((result, exc_info),) = self.outcomes
        assert result is None
        return exc_info[1]


def make_container(method, entrypoint=dummy, **attributes):
    body = {"name": "service", "method": entrypoint(method), **attributes}
    return ServiceContainer(type("Service", (), body), {})


def run(container, *args, handler=None, **options):
    (entrypoint,) = container.entrypoints
    worker_ctx = container.spawn_worker(entrypoint, args, {}, handle_result=handler, **options)
    assert entrypoint.lane.wait(5)
    return worker_ctx


def traced(method, log, fail_in=None, error=KeyError, entrypoint=dummy):
    """Make a container with two tracers, the second of which fails where it is told to."""
    return make_container(
        method,
        entrypoint,
        first=Tracer("first", log),
        second=Tracer("second", log, fail_in, error),
    )


def phases(log):
    return [entry[:2] for entry in log if entry[0] != "get_dependency"]


def test_worker_goes_through_its_steps_in_order():
    log = []

    def method(self):
        log.append(("method", self.first, self.second))
        return "result"

    run(traced(method, log), handler=Handler(log))

    assert log == [
        ("get_dependency", "first"),
        ("get_dependency", "second"),
        ("worker_setup", "first"),
        ("worker_setup", "second"),
        ("method", "first", "second"),
        ("worker_complete", "second", "result"),
        ("worker_complete", "first", "result"),
        ("handle_result",),
        ("worker_result", "first", "result"),
        ("worker_result", "second", "result"),
        ("worker_teardown", "second"),
        ("worker_teardown", "first"),
    ]


def test_each_worker_has_an_instance_and_a_green_thread_of_its_own():
    seen = []
    container = make_container(lambda self: seen.append((id(self), self)))

    run(container)
    run(container)

    assert len({number for number, _ in seen}) == 2


def test_method_gets_its_arguments_and_the_context_has_the_service():
    handler = Handler()

    worker_ctx = run(make_container(lambda self, a, b: a + b), 1, 2, handler=handler)

    assert handler.result == 3
    assert type(worker_ctx.service).name == "service"
    assert worker_ctx.args == (1, 2)


def test_static_method_is_called_without_self():
    handler = Handler()

    run(make_container(staticmethod(lambda a: a * 2)), 2, handler=handler)

    assert handler.result == 4


def test_error_of_the_method_is_the_outcome_everywhere(caplog):
    log, handler = [], Handler()

    with caplog.at_level(logging.WARNING):
        run(traced(lambda self: 1 / 0, log), handler=handler)

    assert isinstance(handler.error, ZeroDivisionError)
    assert [entry[2] for entry in log if len(entry) > 2] == [ZeroDivisionError] * 4
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_expected_error_is_a_warning_once(caplog):
    entrypoint = dummy(expected_exceptions=ZeroDivisionError)

    with caplog.at_level(logging.WARNING):
        run(make_container(lambda self: 1 / 0, entrypoint))

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ZeroDivisionError" in caplog.text


def test_failing_constructor_of_the_service_is_the_error_of_its_worker():
    handler = Handler()

    def broken(self):
        raise KeyError("init")

    container = make_container(lambda self: None, __init__=broken)
    run(container, handler=handler)

    assert isinstance(handler.error, KeyError)
    assert not container.is_stopping


def test_failing_injection_is_the_error_of_its_worker():
    log, handler = [], Handler()

    run(traced(lambda self: log.append("method"), log, "get_dependency"), handler=handler)

    assert isinstance(handler.error, KeyError)
    assert phases(log) == [("worker_result", "first"), ("worker_result", "second")]


def test_failing_setup_is_the_error_of_its_worker_and_what_was_set_up_is_torn_down():
    log, handler = [], Handler()

    run(traced(lambda self: log.append("method"), log, "worker_setup"), handler=handler)

    assert isinstance(handler.error, KeyError)
    assert phases(log) == [
        ("worker_setup", "first"),
        ("worker_setup", "second"),
        ("worker_complete", "first"),
        ("worker_result", "first"),
        ("worker_result", "second"),
        ("worker_teardown", "second"),
        ("worker_teardown", "first"),
    ]


def test_failing_completion_turns_success_into_an_error_for_all_that_follow(caplog):
    log, handler = [], Handler()

    with caplog.at_level(logging.ERROR):
        run(traced(lambda self: "result", log, "worker_complete"), handler=handler)

    assert isinstance(handler.error, KeyError)
    assert ("worker_complete", "second", "result") in log
    assert ("worker_complete", "first", KeyError) in log
    assert ("worker_result", "first", KeyError) in log
    assert len(caplog.records) == 1


def test_error_of_the_method_wins_over_an_error_in_completion(caplog):
    log, handler = [], Handler()

    with caplog.at_level(logging.ERROR):
        run(traced(lambda self: 1 / 0, log, "worker_complete"), handler=handler)

    assert isinstance(handler.error, ZeroDivisionError)
    assert len(caplog.records) == 2  # neither is lost


@pytest.mark.parametrize("phase", ["worker_result", "worker_teardown"])
def test_error_after_the_outcome_was_handled_is_logged_and_changes_nothing(phase, caplog):
    log, handler = [], Handler()

    with caplog.at_level(logging.ERROR):
        run(traced(lambda self: "result", log, phase), handler=handler)

    assert handler.result == "result"
    assert [entry[1] for entry in log if entry[0] == "worker_result"] == ["first", "second"]
    assert [entry[1] for entry in log if entry[0] == "worker_teardown"] == ["second", "first"]
    assert f"<Tracer service.second> failed in {phase}" in caplog.text


def test_error_while_the_result_is_handled_is_logged_and_the_rest_goes_on(caplog):
    log = []

    def handle_result(worker_ctx, result, exc_info):
        raise OSError("broker")

    with caplog.at_level(logging.ERROR):
        run(traced(lambda self: "result", log), handler=handle_result)

    assert "OSError: broker" in caplog.text
    assert phases(log)[-4:] == [
        ("worker_result", "first"),
        ("worker_result", "second"),
        ("worker_teardown", "second"),
        ("worker_teardown", "first"),
    ]


def test_what_handle_result_returns_is_the_outcome_from_then_on():
    log = []

    run(traced(lambda self: "a", log), handler=lambda worker_ctx, result, exc_info: ("b", None))

    assert ("worker_complete", "first", "a") in log
    assert ("worker_result", "first", "b") in log


@pytest.mark.parametrize("error", [SystemExit, Timeout])
def test_exit_and_foreign_timeout_in_a_method_are_its_error(error):
    handler = Handler()

    def method(self):
        raise error(1)

    run(make_container(method), handler=handler)

    assert isinstance(handler.error, error)


def test_eventlet_timeout_that_fires_in_a_method_is_its_error():
    handler = Handler()

    def method(self):
        with Timeout(0.01):
            Event().wait()

    run(make_container(method), handler=handler)

    assert isinstance(handler.error, Timeout)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("error", [SystemExit, DeadlineExceeded])
def test_no_error_of_a_dependency_keeps_the_result_from_being_handled(phase, error):
    log, handler = [], Handler()

    run(traced(lambda self: None, log, phase, error), handler=handler)

    assert len(handler.outcomes) == 1


def test_generator_is_drained():
    handler = Handler()

    def method(self):
        yield 1
        yield 2

    run(make_container(method), handler=handler)

    assert handler.result == [1, 2]


def test_error_inside_a_generator_is_the_error_of_the_worker():
    handler = Handler()

    def method(self):
        yield 1
        raise ValueError("half way")

    run(make_container(method), handler=handler)

    assert isinstance(handler.error, ValueError)


class Encoding(Entrypoint):
    def encode_result(self, worker_ctx, result):
        return result.encode()


def test_result_is_encoded_before_dependencies_complete():
    log, handler = [], Handler()

    run(traced(lambda self: "text", log, entrypoint=Encoding.decorator), handler=handler)

    assert handler.result == "text"
    assert handler.encoded == b"text"
    assert ("worker_complete", "first", "text") in log


def test_result_that_cannot_be_encoded_is_the_error_of_the_worker():
    log, handler = [], Handler()

    run(traced(lambda self: 7, log, entrypoint=Encoding.decorator), handler=handler)

    assert isinstance(handler.error, AttributeError)
    assert ("worker_complete", "first", AttributeError) in log


def test_what_waits_for_success_is_called_after_completion():
    log = []

    def method(self):
        self.context.after_complete.append(lambda: log.append(("after",)))

    container = make_container(method, context=Context(), dep=Tracer("dep", log))
    run(container, handler=Handler(log))

    assert log.index(("worker_complete", "dep", None)) < log.index(("after",))
    assert log.index(("after",)) < log.index(("handle_result",))


def test_what_waits_for_success_is_dropped_after_an_error():
    log = []

    def method(self):
        self.context.after_complete.append(lambda: log.append("after"))
        raise ValueError

    run(make_container(method, context=Context()))

    assert log == []


def test_error_of_what_waits_for_success_is_the_error_of_the_worker():
    handler = Handler()

    def method(self):
        self.context.after_complete.append(lambda: 1 / 0)

    run(make_container(method, context=Context()), handler=handler)

    assert isinstance(handler.error, ZeroDivisionError)


class Context(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx


def test_method_that_overruns_its_deadline_is_interrupted():
    handler = Handler()
    container = make_container(lambda self: Event().wait())

    worker_ctx = run(container, handler=handler, deadline=time.monotonic() + 0.02)

    assert isinstance(handler.error, DeadlineExceeded)
    assert worker_ctx.call_id in str(handler.error)


def test_deadline_is_no_exception_that_a_method_swallows():
    handler = Handler()

    def method(self):
        try:
            Event().wait()
        except Exception:
            return "swallowed"

    run(make_container(method), handler=handler, deadline=time.monotonic() + 0.02)

    assert isinstance(handler.error, DeadlineExceeded)


def test_method_whose_deadline_has_passed_is_not_run():
    log, handler = [], Handler()

    run(traced(lambda self: log.append("method"), log), handler=handler, deadline=time.monotonic())

    assert isinstance(handler.error, DeadlineExceeded)
    assert "method" not in log


def test_timeout_of_the_entrypoint_is_a_deadline():
    handler = Handler()
    container = make_container(lambda self: Event().wait(), dummy(timeout=0.02))

    worker_ctx = run(container, handler=handler, deadline=time.monotonic() + 60)

    assert isinstance(handler.error, DeadlineExceeded)
    assert worker_ctx.remaining() == 0


def test_earlier_deadline_of_the_caller_stays():
    container, deadline = make_container(lambda self: None, dummy(timeout=60)), time.monotonic() + 1

    assert run(container, deadline=deadline).deadline == deadline


@pytest.mark.parametrize("phase", ["encode", "worker_complete", "handle_result", "worker_teardown"])
def test_deadline_is_never_thrown_after_the_method(phase):
    handler, interrupted = Handler(), []

    def linger(now):
        if now == phase:
            try:
                sleep(0.05)
            except BaseException as exc:
                interrupted.append(exc)

    class Slow(DependencyProvider):
        def worker_complete(self, worker_ctx, result=None, exc_info=None):
            linger("worker_complete")

        def worker_teardown(self, worker_ctx):
            linger("worker_teardown")

    class SlowEntrypoint(Entrypoint):
        def encode_result(self, worker_ctx, result):
            linger("encode")
            return result

    def handle_result(*outcome):
        linger("handle_result")
        return handler(*outcome)

    container = make_container(lambda self: "result", SlowEntrypoint.decorator, slow=Slow())
    run(container, handler=handle_result, deadline=time.monotonic() + 0.02)

    assert handler.result == "result"
    assert interrupted == []


def test_killed_worker_is_torn_down_and_its_result_is_not_handled():
    log, handler, running = [], Handler(), Event()

    def method(self):
        running.set()
        Event().wait()

    container = traced(method, log)
    (entrypoint,) = container.entrypoints
    container.spawn_worker(entrypoint, (), {}, handle_result=handler)
    running.wait(5)
    kill(next(iter(entrypoint.lane.threads)))
    assert entrypoint.lane.wait(5)

    assert handler.outcomes == []
    assert phases(log) == [
        ("worker_setup", "first"),
        ("worker_setup", "second"),
        ("worker_teardown", "second"),
        ("worker_teardown", "first"),
    ]


def test_kill_during_teardown_keeps_no_other_from_being_torn_down():
    log = []

    run(traced(lambda self: None, log, "worker_teardown", GreenletExit))

    assert phases(log)[-2:] == [("worker_teardown", "second"), ("worker_teardown", "first")]


def test_observers_see_the_worker_start_complete_and_finish():
    log = []

    class Observer:
        def worker_started(self, worker_ctx):
            log.append(("started", worker_ctx))

        def worker_completed(self, worker_ctx, result, exc_info):
            log.append(("completed", worker_ctx, result, exc_info))

        def worker_finished(self, worker_ctx):
            log.append(("finished", worker_ctx))

    container = make_container(lambda self: log.append("method"), dep=Tracer("dep", log))
    container.observers.add(Observer())

    worker_ctx = run(container, handler=Handler(log))

    assert log[0] == ("started", worker_ctx)
    assert log.index(("handle_result",)) < log.index(("completed", worker_ctx, None, None))
    assert log.index(("completed", worker_ctx, None, None)) < log.index(
        ("worker_result", "dep", None)
    )
    assert log[-1] == ("finished", worker_ctx)


def test_observers_see_a_killed_worker_finish_but_not_complete():
    seen = []

    class Observer:
        def worker_completed(self, *_):
            seen.append("completed")

        def worker_finished(self, worker_ctx):
            seen.append("finished")

    def method(self):
        raise GreenletExit

    container = make_container(method)
    container.observers.add(Observer())
    run(container)

    assert seen == ["finished"]


def test_worker_that_failed_leaves_no_garbage_cycle(monkeypatch):
    # Log records that the test runner keeps refer to the traceback.
    monkeypatch.setattr(logging.getLogger("rpcnode.workers"), "disabled", True)
    references = []

    def method(self):
        references.append(weakref.ref(self))
        raise ValueError

    gc.disable()
    try:
        run(make_container(method), handler=lambda worker_ctx, *outcome: outcome)
        sleep()
        assert references[0]() is None
    finally:
        gc.enable()
