"""Calls that are made again by their caller."""

import time

import pytest

from rpcnode.concurrency import spawn
from rpcnode.exceptions import (
    ConfigurationError,
    IncorrectSignature,
    RemoteError,
    RpcTimeout,
    TooBusy,
    UnknownService,
    deserialize_to_instance,
    registry,
)
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.replies import ReplyListener
from rpcnode.retries import Fixed, Retry
from rpcnode.rpc import RpcProxy, rpc
from tests.hosting import hosted, wait_until

SOON = Retry(3, delay=Fixed(0.01))
PATIENT = Retry(1000, delay=Fixed(0.01))


class Message(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Failing:
    """Makes a service whose method fails so many times before it succeeds."""

    def __init__(self, failures, error=None, **options):
        error = error or OSError("no disk")
        self.attempts = []
        failing = self

        class Service:
            name = "service"
            message = Message()

            @rpc(**options)
            def method(self, *args):
                failing.attempts.append(self.message)
                if len(failing.attempts) <= failures:
                    raise error
                return "done"

        self.service = Service


def method_of(services, **options):
    return services.rpc.service.method.with_options(**options)


def test_call_of_a_service_that_is_not_there_yet_is_made_again(config):
    with hosted(config) as services:
        call = spawn(method_of(services, retry=PATIENT))
        with hosted(config, Failing(0).service):
            assert call.wait() == "done"


def test_call_of_a_service_that_is_too_busy_is_made_again(config):
    class Service:
        name = "service"

        @rpc(max_workers=1, queue_limit=0)
        def method(self):
            time.sleep(0.05)  # stands for work
            return "done"

    with hosted(config, Service) as services:
        calls = [spawn(method_of(services, retry=PATIENT)) for _ in range(3)]
        assert [call.wait() for call in calls] == ["done"] * 3


def test_idempotent_method_that_fails_is_called_again_with_another_id(config):
    failing = Failing(2, idempotent=True)
    with hosted(config, failing.service) as services:
        assert method_of(services, retry=SOON)() == "done"

    for name in ("correlation_id", "message_id"):
        assert len({message.properties[name] for message in failing.attempts}) == 3


def test_last_error_is_raised_when_no_attempt_is_left(config):
    failing = Failing(9, idempotent=True)
    with hosted(config, failing.service) as services:
        with pytest.raises(RemoteError, match="OSError no disk") as caught:
            method_of(services, retry=SOON)()

        assert services.extension(ReplyListener).pending == 0
    assert caught.value.__notes__ == ["after 3 attempts"]
    assert len(failing.attempts) == 3


def test_call_without_a_policy_is_made_once(config):
    failing = Failing(1, idempotent=True)
    with hosted(config, failing.service) as services, pytest.raises(RemoteError) as caught:
        method_of(services)()

    assert caught.value.is_retryable
    assert len(failing.attempts) == 1


@pytest.mark.parametrize("error", [OSError("no disk"), TooBusy("elsewhere"), UnknownService("x")])
def test_method_that_may_not_run_twice_is_not_called_again(config, error):
    failing = Failing(1, error)
    with hosted(config, failing.service) as services:
        with pytest.raises((RemoteError, TooBusy, UnknownService)) as caught:
            method_of(services, retry=SOON)()

    assert not caught.value.is_retryable
    assert len(failing.attempts) == 1


def test_what_the_method_expects_is_the_caller_s_fault_and_stays_so(config):
    failing = Failing(1, ValueError("no"), idempotent=True, expected_exceptions=ValueError)
    with hosted(config, failing.service) as services, pytest.raises(RemoteError):
        method_of(services, retry=SOON)()

    assert len(failing.attempts) == 1


@pytest.mark.parametrize("idempotent", [True, ["method"], {"service.method"}])
def test_caller_may_say_that_a_method_is_idempotent(config, idempotent):
    failing = Failing(2)

    class Client:
        name = "client"
        service = RpcProxy("service", retry=SOON, idempotent=idempotent)

        @rpc
        def run(self):
            return self.service.method()

    with hosted(config, failing.service, Client) as services:
        assert services.rpc.client.run() == "done"
    assert len(failing.attempts) == 3


def test_call_that_cannot_succeed_is_not_made_again(config):
    class Service:
        name = "service"

        @rpc(idempotent=True)
        def method(self): ...

    with hosted(config, Service) as services, pytest.raises(IncorrectSignature) as caught:
        method_of(services, retry=SOON, idempotent=True)(1, 2)
    assert not hasattr(caught.value, "__notes__")


def test_method_that_ran_out_of_its_time_is_called_again_if_it_is_idempotent(config):
    runs = []

    class Service:
        name = "service"

        @rpc(idempotent=True, timeout=0.05)
        def method(self):
            runs.append(1)
            if len(runs) < 3:
                time.sleep(30)  # longer than its timeout, which ends it
            return "done"

    with hosted(config, Service) as services:
        assert method_of(services, retry=SOON)() == "done"


def test_policy_says_which_errors_are_worth_it(config):
    @deserialize_to_instance
    class Refused(Exception):
        pass

    failing = Failing(1, Refused("no"), idempotent=True)
    try:
        with hosted(config, failing.service) as services:
            for retry in (Retry(3, on=TooBusy), Retry(3, give_up_on=Refused)):
                failing.attempts.clear()
                with pytest.raises(Refused):
                    method_of(services, retry=retry)()
                assert len(failing.attempts) == 1
    finally:
        registry.pop(f"{__name__}.Refused")


def test_all_attempts_together_have_the_time_of_one_call(config):
    failing = Failing(1000, idempotent=True)
    with hosted(config, failing.service) as services:
        began = time.monotonic()
        with pytest.raises((RemoteError, RpcTimeout)):
            method_of(services, retry=PATIENT, timeout=0.3)()
        assert time.monotonic() - began < 1

        began = time.monotonic()
        with pytest.raises(RemoteError):  # there would be no time after the delay
            method_of(services, retry=Retry(3, delay=Fixed(5)), timeout=3)()
        assert time.monotonic() - began < 1


def test_worker_s_deadline_bounds_the_attempts_of_its_calls(config):
    class Client:
        name = "client"
        missing = RpcProxy("missing", retry=Retry(1000, delay=Fixed(0.01)))

        @rpc
        def run(self):
            return self.missing.method()

    with hosted(config, Client) as services:
        began = time.monotonic()
        with pytest.raises((RemoteError, RpcTimeout, UnknownService)):
            services.rpc.client.run.with_options(timeout=0.3)()
        assert time.monotonic() - began < 1


def test_cast_to_a_service_that_is_not_there_yet_is_made_again(config):
    failing = Failing(0)
    with hosted(config) as services:
        with pytest.raises(UnknownService):
            method_of(services, retry=SOON).cast()
        cast = spawn(method_of(services, retry=PATIENT).cast)
        with hosted(config, failing.service):
            cast.wait()
            wait_until(lambda: len(failing.attempts) == 1)


def test_call_whose_result_is_asked_for_later_is_made_once(config):
    failing = Failing(1, idempotent=True)
    with hosted(config, failing.service) as services:
        reply = method_of(services, retry=SOON).call_async()
        with pytest.raises(RemoteError):
            reply.result()

    assert len(failing.attempts) == 1


def test_policy_of_a_proxy_can_be_turned_off_for_one_call(config):
    failing = Failing(1, idempotent=True)

    class Client:
        name = "client"
        service = RpcProxy("service", retry=SOON)

        @rpc
        def run(self):
            return self.service.method.with_options(retry=None)()

    with hosted(config, failing.service, Client) as services, pytest.raises(RemoteError):
        services.rpc.client.run()
    assert len(failing.attempts) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retry": 3}, "retry must be a Retry or None, not 3"),
        ({"idempotent": "method"}, "idempotent must be True, False or names of methods"),
        ({"idempotent": 1}, "idempotent must be True, False or names of methods"),
    ],
)
def test_options_that_cannot_work_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        RpcProxy("service", **options)
