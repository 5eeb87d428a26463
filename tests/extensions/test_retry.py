"""Handlers whose messages are tried again, on the embedded broker and on RabbitMQ."""

import logging
import time

import kombu
import pytest

from rpcnode.concurrency import sleep
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import consume
from rpcnode.retry import Fixed, Reject, Retry, RetryInfo, RetryLater
from rpcnode.rpc import rpc
from rpcnode.timer import timer
from tests.extensions.retrying import (
    DEAD,
    OWNER,
    SOON,
    depth,
    failing,
    handler_of,
    headers_of,
    make_service,
    on,
)
from tests.hosting import hosted, take, wait_until


def test_failing_event_is_tried_again_later_and_is_dead_in_the_end(config, caplog):
    runs = []
    began = time.time()
    with hosted(config, make_service(runs, failing(), handler=on(retry=SOON))) as services:
        services.dispatch("placed", {"sku": "plum"})
        dead = take(services, DEAD)
        retried = handler_of(services).retried

    headers = headers_of(dead)
    assert [run.payload for run in runs] == [{"sku": "plum"}] * 3
    assert runs[1].at - runs[0].at >= 0.1
    assert runs[2].at - runs[1].at >= 0.1
    assert retried == 2
    assert headers["rpcnode-dead-reason"] == "exhausted"
    assert headers["rpcnode-attempts"] == 3
    assert headers["rpcnode-exc-type"] == "OSError"
    assert headers["rpcnode-handler"] == "service.handle"
    assert began <= headers["rpcnode-first-failed"] / 1000 + 0.001
    assert headers["rpcnode-last-failed"] - headers["rpcnode-first-failed"] >= 200
    logged = [record for record in caplog.records if "failed" in record.msg]
    assert [record.levelname for record in logged] == ["WARNING", "WARNING", "ERROR"]
    assert "attempt 2 of 3, the next one is in 0.1 s" in logged[1].getMessage()
    assert "attempt 3 of 3, there is no other one: exhausted" in logged[2].getMessage()
    assert all(record.exc_info for record in logged)


def test_event_that_succeeds_at_last_leaves_nothing_behind(config):
    runs = []
    service = make_service(runs, failing(times=1), handler=on(retry=SOON))
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)
        wait_until(lambda: depth(services, OWNER) == 0)

        assert depth(services, f"rpcnode.hold.{OWNER}.c.100") == 0
        with pytest.raises(AssertionError, match="did not happen"):
            wait_until(lambda: len(runs) > 2, 0.3)


def test_others_pass_what_waits(config):
    runs = []

    def fail(run):
        if run.payload == "bad":
            raise OSError

    service = make_service(runs, fail, handler=on(retry=Retry(2, Fixed(1), jitter=0)))
    with hosted({**config, "MAX_WORKERS": 1}, service) as services:
        services.dispatch("placed", "bad")
        for number in range(50):
            services.dispatch("placed", number)
        wait_until(lambda: len(runs) == 51)

        assert runs[-1].at - runs[0].at < 1
        wait_until(lambda: len(runs) == 52)
    assert runs[51].payload == "bad"
    assert runs[51].at - runs[0].at >= 1


def test_only_the_handler_that_failed_gets_it_again(config):
    bad, good = [], []
    failed = make_service(bad, failing(times=1), handler=on(retry=SOON))
    other = make_service(good, failing(times=0), "other", handler=on(retry=SOON))
    with hosted(config, failed, other) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(bad) == 2)

    assert len(good) == 1


def test_retried_message_is_the_one_that_was_sent(config):
    runs = []
    options = {
        "headers": {"shop": "x", "long": "y" * 5000, "table": {"a": [1, 2.5, None]}, "CC": ["no"]},
        "priority": 7,
        "correlation_id": "c",
        "reply_to": "r",
        "type": "t",
        "message_id": "m",
        "delivery_mode": 1,
    }
    service = make_service(runs, failing(times=2), handler=on("*.placed", retry=SOON))
    with hosted(config, service) as services:
        services.dispatch("order.placed", {"ü": [1, 2]}, **options)
        wait_until(lambda: len(runs) == 3)

    first, _, third = (run.message for run in runs)
    properties = {**first.properties, "delivery_mode": 2}
    assert third.body == first.body
    assert third.properties == properties
    assert (third.exchange, third.routing_key) == ("caller.events", "order.placed")
    assert third.queue == "evt-caller-*.placed--service.handle"
    assert third.id == "m"
    for name in ("shop", "long", "table", "nameko.call_id_stack"):
        assert third.headers[name] == first.headers[name]
    assert "CC" not in third.headers
    assert not third.redelivered


def test_message_without_an_id_is_retried_too(config):
    queue = kombu.Queue("jobs", durable=True)
    runs = []
    service = make_service(runs, failing(times=1), handler=consume(queue, retry=SOON))
    with hosted(config, service) as services:
        channel = services.extension(Messaging).connection.consuming.channel()
        message = channel.prepare_message(
            b"1", content_type="application/json", content_encoding="utf-8"
        )
        channel.basic_publish(message, exchange="", routing_key="jobs")
        wait_until(lambda: len(runs) == 2)
        channel.close()

    assert runs[0].message.id is None
    assert runs[1].message.id.startswith("retry-jobs-")
    assert (runs[1].message.exchange, runs[1].message.routing_key) == ("", "jobs")


def test_worker_is_told_which_attempt_it_is(config):
    runs = []
    with hosted(config, make_service(runs, failing(), handler=on(retry=SOON))) as services:
        services.dispatch("placed", 1)
        take(services, DEAD)

    first, second, third = (run.info for run in runs)
    assert (first.attempt, first.max_attempts, first.is_last) == (1, 3, False)
    assert (first.first_at, first.last_error, first.delay_so_far) == (None, None, 0)
    assert second.last_error == "OSError: disk"
    assert second.first_at == pytest.approx(runs[0].at, abs=1)
    assert (third.attempt, third.is_last) == (3, True)
    assert third.first_at == second.first_at
    assert third.delay_so_far == pytest.approx(0.2)


def test_what_no_message_fires_is_the_first_attempt_of_one(config):
    infos = []

    class Service:
        name = "service"
        info = RetryInfo()

        @timer(60, eager=True)
        def tick(self):
            infos.append(self.info)

        @rpc
        def method(self):
            infos.append(self.info)

    with hosted(config, Service) as services:
        services.rpc.service.method()
        wait_until(lambda: len(infos) == 2)

    assert {(info.attempt, info.max_attempts, info.first_at) for info in infos} == {(1, 1, None)}


def test_errors_that_are_not_worth_it_are_dead_at_once(config):
    runs = []
    retry = Retry(5, Fixed(0.1), on=OSError, give_up_on=FileNotFoundError)
    errors = [FileNotFoundError("gone"), ValueError("wrong")]

    def fail(run):
        raise errors[run.payload]

    with hosted(config, make_service(runs, fail, handler=on(retry=retry))) as services:
        reasons = set()
        for number in range(2):
            services.dispatch("placed", number)
            dead = headers_of(take(services, DEAD))
            reasons.add((dead["rpcnode-dead-reason"], dead["rpcnode-attempts"]))

    assert reasons == {("exhausted", 1)}
    assert len(runs) == 2


def test_nothing_is_tried_again_after_max_age(config):
    runs = []
    retry = Retry(99, Fixed(0.3), jitter=0, max_age=0.5)
    with hosted(config, make_service(runs, failing(), handler=on(retry=retry))) as services:
        services.dispatch("placed", 1)
        dead = take(services, DEAD)

    assert len(runs) == 2
    assert headers_of(dead)["rpcnode-attempts"] == 2


def test_method_that_runs_past_its_time_is_tried_again(config):
    runs = []

    def fail(run):
        if len(runs) == 1:
            sleep(30)

    with hosted(config, make_service(runs, fail, handler=on(retry=SOON, timeout=0.1))) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)

    assert runs[1].info.last_error.startswith("DeadlineExceeded: ")


def test_dependency_that_cannot_complete_is_a_failure_like_others(config):
    runs = []

    class Database(DependencyProvider):
        def worker_complete(self, worker_ctx, result=None, exc_info=None):
            if len(runs) == 1:
                raise OSError("cannot commit")

    class Service(make_service(runs, failing(times=0), handler=on(retry=SOON))):
        database = Database()

    with hosted(config, Service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)

    assert runs[1].info.last_error == "OSError: cannot commit"


@pytest.mark.parametrize("kind", ["event_handler", "consume"])
def test_configured_policy_is_for_handlers_without_one(config, kind):
    runs = []
    more = {"EVENT_RETRY": {"max_attempts": 2, "delay": {"fixed": 0.1}}}
    queue = kombu.Queue(OWNER, durable=True)
    handler = on() if kind == "event_handler" else consume(queue)
    with hosted({**config, **more}, make_service(runs, failing(), handler=handler)) as services:
        services.publish(1, routing_key=OWNER)
        dead = take(services, DEAD)

    assert headers_of(dead)["rpcnode-attempts"] == 2


def test_handler_may_do_without_the_configured_policy(config):
    runs = []
    more = {"EVENT_RETRY": {"max_attempts": 2}}
    service = make_service(runs, failing(), handler=on(retry=None))
    with hosted({**config, **more}, service) as services:
        services.dispatch("placed", 1)
        dead = take(services, DEAD)

    assert headers_of(dead)["rpcnode-attempts"] == 1


def test_configured_policy_that_cannot_be_is_an_error_at_the_start(config):
    more = {"EVENT_RETRY": {"attempts": 2}}
    with pytest.raises(ConfigurationError, match="EVENT_RETRY: there is no 'attempts'"):
        with hosted({**config, **more}, make_service([], failing())):
            pass


def test_handler_asks_for_another_attempt_later(config):
    runs = []

    def fail(run):
        if len(runs) == 1:
            raise RetryLater(0.3, "not yet")

    service = make_service(runs, fail, handler=on(retry=Retry(2, Fixed(0.1))))
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)

    assert runs[1].at - runs[0].at >= 0.3
    assert runs[1].info.last_error == "RetryLater: again in 0.3 s: not yet"


@pytest.mark.parametrize(
    ("more", "options", "attempts"),
    [
        ({}, {"retry": None}, 5),
        ({"EVENT_RETRY": {"max_attempts": 3}}, {"retry": None}, 3),
        ({"EVENT_RETRY": {"max_attempts": 3}}, {"retry": Retry(2, on=ValueError)}, 2),
    ],
)
def test_asking_for_another_attempt_is_bounded(config, more, options, attempts):
    runs = []
    service = make_service(runs, failing(RetryLater(0.01)), handler=on(**options))
    with hosted({**config, **more}, service) as services:
        services.dispatch("placed", 1)
        dead = take(services, DEAD)

    assert len(runs) == attempts
    assert runs[0].info.max_attempts == attempts
    assert headers_of(dead)["rpcnode-attempts"] == attempts


def test_delay_of_another_attempt_is_the_policy_s_when_none_is_given(config):
    runs = []
    service = make_service(runs, failing(RetryLater(), 1), handler=on(retry=SOON))
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)

    assert runs[1].info.delay_so_far == pytest.approx(0.1)


@pytest.mark.parametrize("delay", [-1, "1", float("nan"), True, 1e9])
def test_another_attempt_is_asked_for_in_seconds(delay):
    with pytest.raises(ValueError, match="RetryLater: delay must be seconds from 0"):
        RetryLater(delay)


def test_handler_rejects_a_message_for_good(config, caplog):
    runs = []
    service = make_service(runs, failing(Reject("no such order")), handler=on(retry=SOON))
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        dead = headers_of(take(services, DEAD))

    assert len(runs) == 1
    assert dead["rpcnode-dead-reason"] == "rejected"
    assert (dead["rpcnode-exc-type"], dead["rpcnode-exc-message"]) == ("Reject", "no such order")
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def test_requeue_on_error_comes_first_and_the_policy_next(config):
    runs = []
    service = make_service(runs, failing(), handler=on(retry=SOON, requeue_on_error=True))
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        dead = headers_of(take(services, DEAD))

    assert [run.info.attempt for run in runs] == [1, 2, 3]
    assert [run.message.redelivered for run in runs[:2]] == [False, True]
    assert runs[2].at - runs[1].at >= 0.1
    assert dead["rpcnode-attempts"] == 3


def test_requeue_on_error_is_not_for_what_is_not_worth_it(config):
    runs = []
    handler = on(retry=Retry(3, on=OSError), requeue_on_error=True)
    service = make_service(runs, failing(ValueError()), handler=handler)
    with hosted(config, service) as services:
        services.dispatch("placed", 1)
        take(services, DEAD)

    assert len(runs) == 1


def test_message_waits_in_the_broker_while_nobody_is_there(config):
    runs = []
    service = make_service(runs, failing(times=1), handler=on(retry=Retry(2, Fixed(0.5))))
    with hosted(config) as services:
        with hosted(config, service):
            services.dispatch("placed", 1)
            wait_until(lambda: runs)
        assert len(runs) == 1
        wait_until(lambda: depth(services, OWNER) == 1)
        with hosted(config, service):
            wait_until(lambda: len(runs) == 2)

    assert runs[1].info.attempt == 2


def test_hold_queue_that_was_deleted_is_made_again(config):
    runs = []
    with hosted(config, make_service(runs, failing(), handler=on(retry=SOON))) as services:
        services.dispatch("placed", 1)
        take(services, DEAD)
        channel = services.extension(Messaging).connection.consuming.channel()
        channel.queue_delete(f"rpcnode.hold.{OWNER}.c.100")
        channel.close()
        services.dispatch("placed", 2)
        take(services, DEAD)

    assert [run.payload for run in runs] == [1, 1, 1, 2, 2, 2]


def test_headers_of_a_stranger_do_not_count(config):
    runs = []
    forged = {"rpcnode-attempts": 99, "rpcnode-first-failed": 1, "rpcnode-origin-key": "x"}
    service = make_service(runs, failing(times=2), handler=on(retry=SOON))
    with hosted(config, service) as services:
        services.dispatch("placed", 1, headers=forged)
        wait_until(lambda: len(runs) == 3)

    assert [run.info.attempt for run in runs] == [1, 2, 3]
    assert runs[2].message.routing_key == "placed"
    assert runs[2].info.first_at > 1_000_000


def test_headers_that_make_no_sense_do_no_harm(config):
    runs = []
    names = ("attempts", "first-failed", "delayed-ms", "not-after", "origin-exchange", "exc-type")
    wrong = ["x", -1, 2.5, [1], {"a": 1}, None, "9" * 5000, str(2**70), 2**63 - 1, "9" * 19]

    def fail(run):  # not by their number: the first may be back before the last has come
        if run.info.attempt == 1:
            raise OSError("disk")

    service = make_service(runs, fail, handler=on(retry=SOON))
    with hosted(config, service) as services:
        for value in wrong:
            headers = {f"rpcnode-{name}": value for name in names}
            services.publish(1, routing_key=OWNER, headers=headers)
        wait_until(lambda: len(runs) == 2 * len(wrong))

    assert sorted(run.info.attempt for run in runs) == [1] * len(wrong) + [2] * len(wrong)


def test_message_that_would_expire_before_its_next_attempt_is_dead(config):
    runs = []
    service = make_service(runs, failing(), handler=on(retry=Retry(9, Fixed(3), jitter=0)))
    with hosted(config, service) as services:
        services.dispatch("placed", 1, expiration=1)
        dead = headers_of(take(services, DEAD))

    assert len(runs) == 1
    assert dead["rpcnode-dead-reason"] == "expired"
    assert dead["rpcnode-attempts"] == 1
    assert dead["rpcnode-origin-expiration"] == "1000"


def test_message_that_expires_later_is_tried_again_until_then(config):
    runs = []
    with hosted(config, make_service(runs, failing(), handler=on(retry=SOON))) as services:
        services.dispatch("placed", 1, expiration=60)
        dead = take(services, DEAD)

    assert len(runs) == 3
    assert headers_of(dead)["rpcnode-dead-reason"] == "exhausted"
    assert headers_of(dead)["rpcnode-origin-expiration"] == "60000"
    assert "expiration" not in dead.properties


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retry": 3}, r"retry must be a Retry\(...\) or None, not 3"),
        ({"retry": Retry}, "retry must be a Retry"),
        ({"on_exhausted": print}, "on_exhausted must be a method's name"),
    ],
)
def test_options_that_cannot_be_are_refused_where_they_are_written(options, text):
    with pytest.raises(ConfigurationError, match=text):
        on(**options)(make_service)
