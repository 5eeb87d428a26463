"""Calls that are delivered again, because a service or its connection was lost."""

import time
from contextlib import contextmanager

import pytest

from rpcnode.amqp.publisher import Publisher
from rpcnode.concurrency import Event, spawn
from rpcnode.exceptions import ConnectionLost, OutcomeUnknown, RemoteError, TooBusy
from rpcnode.extensions import intake, rpc_returns
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import rpc
from tests.extensions.stopping import make
from tests.extensions.test_limits import drop_connection, in_hand
from tests.hosting import hosted, take, wait_until

ONE_WORKER = {"MAX_WORKERS": 1}


class Till:
    """Makes a service that charges, once it may; each instance of it shares what it notes."""

    def __init__(self, **options):
        self.open, self.charged = Event(), []
        till = self

        class Service:
            name = "service"

            @rpc(**options)
            def charge(self, amount):
                till.charged.append(amount)
                till.open.wait()
                return amount

        self.service = Service

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.open.set()


class Deliveries:
    """Counts what an observer sees coming."""

    def __init__(self):
        self.count = 0

    def message_received(self, message):
        self.count += 1


def run_and_lose(config, services, till):
    """Have a call run by an instance that is lost, as with its process; return the reply."""
    return lose(config, till, services.rpc.service.charge.call_async)


def lose(config, till, call):
    """Make a call that is run by an instance that is lost; return what the call returned."""
    with hosted(config, till.service) as lost:
        reply = call(1)
        wait_until(lambda: till.charged == [1])
        lost.container("service").kill()
    return reply


def refused(services):
    return services.extension(RpcConsumer, "service").counts.refused


def test_call_of_a_service_that_was_lost_is_run_again(config):
    till = Till()
    with hosted(config) as services, till:
        reply = run_and_lose(config, services, till)
        till.open.set()
        with hosted(config, till.service):
            assert reply.result() == 1

    assert till.charged == [1, 1]


def test_call_that_must_not_run_twice_is_refused(config, caplog):
    till = Till(on_redelivery="refuse")
    with hosted(config) as services, till:
        reply = run_and_lose(config, services, till)
        with hosted(config, till.service) as others:
            with pytest.raises(OutcomeUnknown) as caught:
                reply.result()
            assert refused(others) == 1

    assert "service.charge was called, and perhaps run, before" in str(caught.value)
    assert not caught.value.is_retryable
    assert "not running a call of service.charge again: it may have run already" in caplog.text
    assert till.charged == [1]


def test_cast_that_must_not_run_twice_is_dead_with_its_reason(config):
    till = Till(on_redelivery="refuse")
    with hosted(config) as services, till:
        lose(config, till, services.rpc.service.charge.cast)
        with hosted(config, till.service) as others:
            message = take(others, "rpc-service.dead")

    headers = message.properties["application_headers"]
    assert headers["rpcnode-dead-reason"] == "redelivered"
    assert headers["rpcnode-exc-type"] == "OutcomeUnknown"
    assert headers["rpcnode-handler"] == "service.charge"
    assert till.charged == [1]


@contextmanager
def full(config, till):
    """Host the service with a lane that is full until the block ends; yield the counts."""
    container, busy = make(config, till.service), Event()
    container.entrypoints[0].lane.spawn(busy.wait)
    container.start()
    (consumer,) = [each for each in container.extensions if isinstance(each, RpcConsumer)]
    yield consumer.counts
    busy.set()
    container.stop()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, OutcomeUnknown),
        ({"on_redelivery": "refuse"}, OutcomeUnknown),
        ({"idempotent": True}, TooBusy),
    ],
)
def test_call_that_may_have_run_is_not_to_be_made_again_because_of_a_full_lane(
    config, options, error
):
    till = Till(max_workers=1, queue_limit=0, **options)
    with hosted(config) as services, till:
        reply = run_and_lose(config, services, till)
        with full(config, till) as counts:
            with pytest.raises(error, match="1 workers are busy") as caught:
                reply.result()
            assert counts.too_busy == 1

    assert caught.value.is_retryable == (error is TooBusy)


def test_cast_that_must_not_run_twice_is_dead_also_after_it_was_put_aside(config, monkeypatch):
    monkeypatch.setattr(rpc_returns, "FIRST_DELAY", 0.1)
    till = Till(max_workers=1, queue_limit=0, on_redelivery="refuse")
    with hosted(config) as services, till:
        lose(config, till, services.rpc.service.charge.cast)
        with full(config, till) as counts:
            wait_until(lambda: counts.put_aside)
        till.open.set()
        with hosted(config, till.service):
            message = take(services, "rpc-service.dead")

    assert message.properties["application_headers"]["rpcnode-dead-reason"] == "redelivered"
    assert till.charged == [1]


def test_forged_time_keeps_no_call_from_going_back(config):
    till = Till(on_redelivery="refuse")
    with hosted(config) as services, till:
        charge = services.rpc.service.charge
        with hosted({**config, **ONE_WORKER, "CLOCK_SKEW": None}, till.service) as stopping:
            charge.call_async(0)
            wait_until(lambda: till.charged == [0])
            # More than any broker takes as an expiration.
            reply = charge.with_options(headers={"rpcnode-timeout-ms": 10**14}).call_async(1)
            wait_until(lambda: in_hand(stopping) == 2)
            stop = spawn(stopping.container("service").stop)
            wait_until(lambda: stopping.container("service").default_lane.pending == 0)
            till.open.set()
            stop.wait()
        with hosted(config, till.service):
            assert reply.result() == 1


def test_call_that_waited_when_its_service_stopped_is_run_by_the_next(config):
    till = Till(on_redelivery="refuse")
    with hosted(config) as services, till:
        with hosted({**config, **ONE_WORKER}, till.service) as stopping:
            replies = [services.rpc.service.charge.call_async(number) for number in range(5)]
            wait_until(lambda: in_hand(stopping) == 5)
            stop = spawn(stopping.container("service").stop)
            wait_until(lambda: stopping.container("service").default_lane.pending == 0)
            till.open.set()
            stop.wait()
        with hosted(config, till.service) as others:
            assert [reply.result() for reply in replies] == list(range(5))
            assert refused(others) == 0

    assert sorted(till.charged) == list(range(5))


def test_call_that_cannot_go_back_as_a_new_one_is_refused_rather_than_run_twice(
    config, monkeypatch
):
    till = Till(on_redelivery="refuse")
    monkeypatch.setattr(intake, "REQUEUE_DELAY", 0)
    with hosted(config) as services, till:
        with hosted({**config, **ONE_WORKER}, till.service) as stopping:
            replies = [services.rpc.service.charge.call_async(number) for number in range(2)]
            wait_until(lambda: in_hand(stopping) == 2)
            with monkeypatch.context() as patch:
                patch.setattr(Publisher, "publish", lose_confirm)
                stop = spawn(stopping.container("service").stop)
                wait_until(lambda: stopping.container("service").default_lane.pending == 0)
                till.open.set()
                stop.wait()
        with hosted(config, till.service):
            assert replies[0].result() == 0
            with pytest.raises(OutcomeUnknown):
                replies[1].result()

    assert till.charged == [0]


def lose_confirm(publisher, message, timeout):
    raise ConnectionLost("the test wants it")


def test_call_that_waited_too_long_for_a_worker_is_run_all_the_same(config):
    till = Till(on_redelivery="refuse")
    config = {**config, **ONE_WORKER, "MAX_WAIT": 0.2}
    with hosted(config, till.service) as services, till:
        replies = [services.rpc.service.charge.call_async(number) for number in range(3)]
        wait_until(lambda: in_hand(services) == 3)
        wait_until(lambda: in_hand(services) < 3)
        wait_until(lambda: in_hand(services) == 3)
        till.open.set()

        assert [reply.result() for reply in replies] == list(range(3))
        assert refused(services) == 0
    assert sorted(till.charged) == list(range(3))


@pytest.mark.parametrize("options", [{}, {"on_redelivery": "refuse"}])
def test_what_waits_too_long_again_and_again_keeps_nobody_busy(config, options):
    till, passed, observer = Till(**options), Event(), Deliveries()
    config = {**config, **ONE_WORKER, "MAX_WAIT": 0.2}
    with hosted(config, till.service) as services, till:
        services.container("service").observers.add(observer)
        began = time.monotonic()
        replies = [services.rpc.service.charge.call_async(number) for number in range(10)]
        passed.wait(1)  # to count what happens in that time
        till.open.set()

        assert [reply.result() for reply in replies] == list(range(10))
        # Each comes once, and once more each time that it has waited: at least 0.18 s.
        rounds = 1 + (time.monotonic() - began) / 0.18
        assert 20 <= observer.count <= 10 * rounds
    assert sorted(till.charged) == list(range(10))


def test_calls_in_hand_when_the_connection_is_lost_run_once(config):
    till = Till(on_redelivery="refuse")
    config = {**config, **ONE_WORKER}
    with hosted(config) as services, hosted(config, till.service) as others, till:
        replies = [services.rpc.service.charge.call_async(number) for number in range(3)]
        wait_until(lambda: till.charged == [0] and in_hand(others) == 3)
        drop_connection(config, others)
        intake = others.extension(Messaging, "service").intake
        wait_until(lambda: intake.taken_over == 3)
        till.open.set()

        assert [reply.result() for reply in replies] == list(range(3))
        assert refused(others) == 0
    assert till.charged == list(range(3))


def test_exception_of_a_method_is_no_unknown_outcome(config):
    class Service:
        name = "service"

        @rpc(on_redelivery="refuse")
        def fail(self):
            raise ValueError("no")

    with hosted(config, Service) as services, pytest.raises(RemoteError, match="ValueError"):
        services.rpc.service.fail()


@pytest.mark.parametrize("options", [{}, {"on_redelivery": "refuse"}])
def test_what_comes_back_keeps_its_deadline(config, options):
    till = Till(**options)
    config = {**config, **ONE_WORKER, "MAX_WAIT": 0.2}
    with hosted(config, till.service) as services, till:
        services.rpc.service.charge.call_async(0)
        wait_until(lambda: till.charged == [0])
        reply = services.rpc.service.charge.with_options(timeout=0.5).call_async(1)
        end = time.monotonic() + 1
        wait_until(lambda: time.monotonic() > end)
        till.open.set()
        wait_until(lambda: not in_hand(services))

    del reply
    assert till.charged == [0]
