"""Methods that take care of what is given up, on the embedded broker and on RabbitMQ."""

import pytest

from rpcnode.concurrency import Event, kill, sleep, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.events import event_handler
from rpcnode.exceptions import ConfigurationError
from rpcnode.retry import Reject, RetryLater
from tests.extensions.retrying import (
    DEAD,
    DISK,
    OWNER,
    SOON,
    SOURCE,
    depth,
    failing,
    headers_of,
    make_service,
    on,
)
from tests.hosting import hosted, take, wait_until


class Sorry:
    """Makes a service whose handler always fails, and whose `sorry` comes after that."""

    def __init__(self, error=DISK, then=lambda: None, **options):
        self.runs, self.failures = [], []
        handler = on(**{"retry": SOON, **options}, on_exhausted="sorry")
        sorry = self

        class WithSorry:
            def sorry(self, payload, failure):
                sorry.failures.append((payload, failure, self.message))
                then()

        self.service = make_service(self.runs, failing(error), handler=handler, base=WithSorry)


def test_method_takes_care_of_what_is_given_up(config):
    sorry = Sorry()
    with hosted(config, sorry.service) as services:
        services.dispatch("placed", {"a": 1})
        wait_until(lambda: sorry.failures)
        wait_until(lambda: depth(services, OWNER) == 0)

        assert depth(services, DEAD) is None
    ((payload, failure, message),) = sorry.failures
    assert payload == {"a": 1}
    assert (failure.reason, failure.attempts) == ("exhausted", 3)
    assert (failure.exc_type, failure.message) == ("OSError", "disk")
    assert isinstance(failure.exception, OSError)
    assert failure.last_failed - failure.first_failed >= 0.2
    assert message.routing_key == "placed"


@pytest.mark.parametrize(
    "error", [ValueError("second"), Reject("second"), RetryLater(0, "second"), SystemExit("second")]
)
def test_message_is_dead_with_both_errors_when_that_method_fails_too(config, error):
    def then():
        raise error

    sorry = Sorry(then=then)
    with hosted(config, sorry.service) as services:
        services.dispatch("placed", 1)
        dead = headers_of(take(services, DEAD))

    assert len(sorry.failures) == 1
    assert dead["rpcnode-dead-reason"] == "exhausted"
    assert dead["rpcnode-exc-message"] == "disk"
    assert dead["rpcnode-second-error"].startswith(f"{type(error).__name__}: ")
    assert dead["rpcnode-second-error"].endswith("second")
    assert dead["rpcnode-attempts"] == 3


def test_method_is_told_of_what_was_rejected(config):
    sorry = Sorry(Reject("never"), retry=None)
    with hosted(config, sorry.service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: sorry.failures)

    assert (sorry.failures[0][1].reason, len(sorry.runs)) == ("rejected", 1)


def test_message_comes_again_when_that_method_is_killed(config):
    entered = Event()

    def then():
        if len(sorry.failures) == 1:
            entered.set()
            sleep(60)

    sorry = Sorry(then=then, retry=None)
    with hosted(config, sorry.service) as services:
        services.dispatch("placed", 1)
        entered.wait(5)
        (thread,) = services.container("service").default_lane.threads
        kill(thread)
        wait_until(lambda: len(sorry.failures) == 2)

    assert len(sorry.runs) == 2


def test_that_method_is_waited_for_when_the_service_stops(config):
    entered, go_on = Event(), Event()

    def then():
        entered.set()
        go_on.wait(5)

    sorry = Sorry(then=then, retry=None)
    with hosted(config) as services:
        with hosted(config, sorry.service) as serving:
            services.dispatch("placed", 1)
            entered.wait(5)
            stopping = spawn(serving.container("service").stop)
            wait_until(lambda: serving.container("service").is_stopping)
            go_on.set()
            stopping.wait()

        assert depth(services, OWNER) == 0
    assert (len(sorry.runs), len(sorry.failures)) == (1, 1)


def test_method_that_cannot_take_care_of_anything_is_refused():
    class Service:
        name = "service"
        attribute = 5

        def two(self, payload):
            """Lacks a parameter."""

        async def asynchronous(self, payload, failure):
            """Cannot be run by a worker."""

    for method, text in [
        ("none", "on_exhausted is 'none', and Handling has no such method"),
        ("attribute", "on_exhausted is 'attribute', and Handling has no such method"),
        ("two", r"write `def two\(self, payload, failure\)`"),
        ("asynchronous", "asynchronous is an async method"),
        ("handle", r"write `def handle\(self, payload, failure\)`"),
    ]:

        class Handling(Service):
            @event_handler(SOURCE, "placed", on_exhausted=method)
            def handle(self, payload): ...

        with pytest.raises(ConfigurationError, match=text):
            ServiceContainer(Handling, {"AMQP_URI": "memory://"})
