"""Methods with workers of their own, on the queue that all methods of a service share."""

import time

import pytest

from rpcnode.concurrency import Event
from rpcnode.events import event_handler
from rpcnode.exceptions import BrokerUnavailable, ConfigurationError, RpcTimeout, TooBusy
from rpcnode.extensions import intake, rpc_returns
from rpcnode.extensions.delays import Delays
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import rpc
from tests.extensions.test_limits import in_hand
from tests.hosting import hosted, take, wait_until


class Held:
    """Makes a service with a slow method, whose workers wait until `end` is set, and fast ones."""

    def __init__(self, **options):
        self.end = Event()
        self.calls = []
        self.service = self._service({"max_workers": 1, **options})

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end.set()

    def run(self, number):
        self.calls.append(number)
        self.end.wait()
        return number

    def _service(self, options):
        held = self

        class Service:
            name = "service"

            @rpc(**options)
            def slow(self, number=0):
                return held.run(number)

            @rpc
            def fast(self):
                return "fast"

            @rpc
            def usual(self):
                held.end.wait()

            @event_handler("caller", "happened")
            def handle(self, payload):
                held.run(payload)

        return Service


def counts(services):
    return services.extension(RpcConsumer, "service").counts


def fill(services, times, name="slow"):
    """Call a method so many times; return the replies once the service has all the calls."""
    before = in_hand(services)
    replies = [services.rpc.service[name].call_async() for _ in range(times)]
    wait_until(lambda: in_hand(services) == before + times)
    return replies


def test_call_for_a_full_lane_is_answered_at_once(config, caplog):
    held = Held(queue_limit=2)
    with hosted(config, held.service) as services, held:
        replies = fill(services, 3)

        with pytest.raises(TooBusy) as caught:
            services.rpc.service.slow()

        assert "service.slow: 1 workers are busy, and 2 calls wait" in str(caught.value)
        assert caught.value.is_retryable
        assert counts(services).too_busy == 1
        assert services.rpc.service.fast() == "fast"
        held.end.set()
        assert [reply.result() for reply in replies] == [0, 0, 0]
        assert services.rpc.service.slow(1) == 1
    assert held.calls == [0, 0, 0, 1]


def test_full_lane_is_logged_now_and_then_only(config, caplog):
    held = Held(queue_limit=0)
    with hosted(config, held.service) as services, held:
        fill(services, 1)
        for _ in range(5):
            with pytest.raises(TooBusy):
                services.rpc.service.slow()

    lines = [each for each in caplog.messages if "service.slow is too busy" in each]
    assert len(lines) == 1


def test_as_many_calls_wait_as_there_are_workers_unless_it_is_said(config):
    held = Held(max_workers=3)
    with hosted(config, held.service) as services, held:
        fill(services, 6)

        with pytest.raises(TooBusy):
            services.rpc.service.slow()


@pytest.mark.parametrize(("more", "limit"), [({}, 2), ({"RPC_QUEUE_LIMIT": 5}, 5)])
def test_other_methods_share_a_lane_with_a_limit_of_its_own(config, more, limit):
    held = Held()
    with hosted({**config, "MAX_WORKERS": 2, **more}, held.service) as services, held:
        fill(services, 2 + limit, "usual")

        with pytest.raises(TooBusy, match=f"2 workers are busy, and {limit} calls wait"):
            services.rpc.service.usual()
        with pytest.raises(TooBusy, match="'missing'"):
            services.rpc.service.missing()


def test_nothing_is_refused_where_no_method_has_workers_of_its_own(config):
    held = Held(max_workers=None)
    with hosted({**config, "MAX_WORKERS": 1}, held.service) as services, held:
        replies = fill(services, 50)
        replies += [services.rpc.service.slow.call_async() for _ in range(10)]
        held.end.set()

        assert [reply.result() for reply in replies] == [0] * 60


def test_events_that_wait_are_no_calls_that_wait(config):
    held = Held()
    with hosted({**config, "MAX_WORKERS": 2}, held.service) as services, held:
        for number in range(4):
            services.dispatch("happened", number)
        wait_until(lambda: in_hand(services) == 2)
        replies = fill(services, 2, "fast")

        with pytest.raises(TooBusy):
            services.rpc.service.fast()
        held.end.set()
        assert [reply.result() for reply in replies] == ["fast", "fast"]


def test_event_handler_with_workers_of_its_own_holds_up_nobody(config):
    end, seen = Event(), []

    class Service:
        name = "service"

        @event_handler("caller", "happened", max_workers=1)
        def slow(self, payload):
            end.wait()
            seen.append(payload)

        @event_handler("caller", "happened")
        def fast(self, payload):
            seen.append(payload)

        @rpc
        def call(self):
            return "answer"

    with hosted({**config, "MAX_WORKERS": 1}, Service) as services:
        for number in range(5):
            services.dispatch("happened", number)
        wait_until(lambda: len(seen) == 5)
        assert services.rpc.service.call() == "answer"
        # Its channel holds one message; the others wait in the broker.
        assert in_hand(services) == 1
        end.set()
        wait_until(lambda: len(seen) == 10)


def test_lanes_hold_what_they_may_and_one_more_call_is_looked_at(config):
    held = Held(max_workers=30, queue_limit=40)
    with hosted({**config, "MAX_WORKERS": 10}, held.service) as services, held:
        fill(services, 70)
        fill(services, 20, "usual")

        with pytest.raises(TooBusy):
            services.rpc.service.slow()
        with pytest.raises(TooBusy):
            services.rpc.service.usual()


def test_prefetch_that_lets_a_full_lane_hold_up_others_is_warned_of(config, caplog):
    held = Held(queue_limit=2)
    with hosted({**config, "MAX_WORKERS": 2, "PREFETCH_COUNT": 7}, held.service):
        assert "PREFETCH_COUNT is 7, but the lanes of service hold up to 7 calls" in caplog.text
    caplog.clear()
    with hosted({**config, "MAX_WORKERS": 2, "PREFETCH_COUNT": 8}, held.service):
        assert "PREFETCH_COUNT" not in caplog.text


def test_cast_for_a_full_lane_comes_again_and_holds_up_nobody(config, monkeypatch):
    monkeypatch.setattr(rpc_returns, "FIRST_DELAY", 0.1)
    monkeypatch.setattr(rpc_returns, "LONGEST_DELAY", 0.4)
    held, times = Held(), 80  # more than the service is given at once
    with hosted({**config, "MAX_WORKERS": 2}, held.service) as services, held:
        for number in range(times):
            services.rpc.service.slow.cast(number)
        began = time.monotonic()
        assert services.rpc.service.fast() == "fast"
        assert time.monotonic() - began < 2

        wait_until(lambda: counts(services).put_aside >= times)
        held.end.set()

        wait_until(lambda: len(held.calls) == times, 20)
        assert sorted(held.calls) == list(range(times))
        assert counts(services).too_busy == 0


def test_cast_that_waits_again_and_again_waits_longer(config, monkeypatch):
    monkeypatch.setattr(rpc_returns, "FIRST_DELAY", 0.1)
    held = Held(queue_limit=0)
    with hosted(config, held.service) as services, held:
        fill(services, 1)
        began = time.monotonic()
        services.rpc.service.slow.cast(1)
        wait_until(lambda: counts(services).put_aside == 4)

        assert time.monotonic() - began >= 0.1 + 0.2 + 0.4


def test_forged_number_of_times_keeps_no_cast_from_being_put_aside(config, monkeypatch, caplog):
    monkeypatch.setattr(rpc_returns, "FIRST_DELAY", 0.1)
    monkeypatch.setattr(rpc_returns, "LONGEST_DELAY", 0.1)
    held = Held(queue_limit=0)
    with hosted(config, held.service) as services, held:
        fill(services, 1)
        forged = {"rpcnode-held": 2**63 - 1}  # one more fits into no header
        services.rpc.service.slow.with_options(headers=forged).cast(1)
        wait_until(lambda: counts(services).put_aside == 3)
        held.end.set()
        wait_until(lambda: held.calls == [0, 1])

    assert "cannot be copied" not in caplog.text


def test_cast_that_no_exchange_would_bring_back_is_not_lost(config, monkeypatch):
    monkeypatch.setattr(intake, "REQUEUE_DELAY", 0.1)
    held = Held(queue_limit=0)
    config = {**config, "MAX_WORKERS": 1, "RPC_QUEUE_LIMIT": 0}
    with hosted(config, held.service) as services, held:
        fill(services, 1, "usual")
        # Through the default exchange: its routing key names no method.
        services.publish({"args": [], "kwargs": {}}, routing_key="rpc-service")
        wait_until(lambda: counts(services).put_aside == 2)
        held.end.set()

        dead = take(services, "rpc-service.dead")
    assert dead.properties["application_headers"]["rpcnode-exc-type"] == "MethodNotFound"


def test_casts_that_were_put_aside_outlive_the_service(config, monkeypatch):
    monkeypatch.setattr(rpc_returns, "FIRST_DELAY", 0.1)
    held = Held()
    with hosted(config) as services, held:
        with hosted(config, held.service) as stopping:
            for number in range(20):
                services.rpc.service.slow.cast(number)
            wait_until(lambda: counts(stopping).put_aside >= 10)
            held.end.set()
        with hosted(config, held.service):
            wait_until(lambda: len(held.calls) == 20)

    assert sorted(held.calls) == list(range(20))


def test_cast_that_cannot_be_put_aside_stays_in_its_queue(config, monkeypatch, caplog):
    monkeypatch.setattr(intake, "REQUEUE_DELAY", 0.1)
    held, publish, refusals = Held(queue_limit=0), Delays.publish, []

    def refuse_once(self, message, delay, timeout):
        if not refusals:
            refusals.append(message)
            raise BrokerUnavailable("no connection")
        publish(self, message, delay, timeout)

    monkeypatch.setattr(Delays, "publish", refuse_once)
    with hosted(config, held.service) as services, held:
        fill(services, 1)
        services.rpc.service.slow.cast(1)
        wait_until(lambda: counts(services).put_aside == 2)
        held.end.set()
        wait_until(lambda: held.calls == [0, 1])

    assert "of queue 'rpc-service' cannot be copied, and is requeued" in caplog.text


def test_caller_of_a_call_that_waits_gets_its_answer_in_time(config):
    held = Held(queue_limit=5)
    with hosted(config, held.service) as services, held:
        fill(services, 1)

        late = services.rpc.service.slow.with_options(timeout=0.5).call_async(1)
        wait_until(lambda: in_hand(services) == 2)
        received = time.monotonic()
        with pytest.raises(RpcTimeout):
            late.result()
        # The service counts from the receipt: for it the time is over a little later.
        wait_until(lambda: time.monotonic() > received + 0.5)
        held.end.set()
        assert services.rpc.service.slow(2) == 2
        assert counts(services).expired == 1
    assert held.calls == [0, 2]


def test_lane_may_take_more_calls_than_a_prefetch_can_say(config):
    held = Held(queue_limit=100_000)
    with hosted(config, held.service) as services:
        assert services.rpc.service.fast() == "fast"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"queue_limit": 1}, "queue_limit is for a method with max_workers of its own"),
        ({"max_workers": 1, "queue_limit": -1}, "queue_limit must be a whole number"),
        ({"max_workers": 1, "queue_limit": True}, "queue_limit must be a whole number"),
        ({"on_redelivery": "drop"}, "on_redelivery must be 'run' or 'refuse', not 'drop'"),
        ({"idempotent": 1}, "idempotent must be True or False"),
        ({"idempotent": True, "on_redelivery": "refuse"}, "no reason to refuse"),
    ],
)
def test_options_that_cannot_work_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        rpc(**options)(lambda self: None)
