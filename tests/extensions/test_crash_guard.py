"""Messages that come back because a process ended: they carry on with a count, and end at a limit.

A killed container stands for a process that ends: it settles nothing.
"""

import pytest

from rpcnode.concurrency import Event
from rpcnode.events import event_handler
from rpcnode.exceptions import RedeliveredTooOften
from rpcnode.extensions import DependencyProvider, crashguard
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from tests.extensions.stopping import running, stop_while_waiting
from tests.hosting import hosted, take, wait_until

QUEUE = "evt-caller-happened--fragile.handle"
REQUESTS = "rpc-fragile"


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Fragile:
    """Makes a service whose workers note their message, and wait if the gate is closed."""

    def __init__(self, **options):
        self.started, self.finished, self.gate = [], [], Event()
        fragile = self

        class Service:
            name = "fragile"
            message = CurrentMessage()

            @event_handler("caller", "happened", **options)
            def handle(self, payload):
                fragile.run(self.message, payload)

            @rpc
            def method(self, payload):
                fragile.run(self.message, payload)

        self.service = Service

    def run(self, message, payload):
        self.started.append((payload, message))
        self.gate.wait()
        self.finished.append(payload)

    def closed(self):
        """Return this, with a gate at which workers wait."""
        self.gate = Event()
        return self

    def opened(self):
        """Return this, with the gate open."""
        self.gate.set()
        return self

    @property
    def payloads(self):
        return [payload for payload, _message in self.started]


def crash(config, fragile, times=1):
    """Let the service start with a message, and end with the process, so many times."""
    for _ in range(times):
        before = len(fragile.started)
        with running(config, fragile.closed().service) as container:
            wait_until(lambda: len(fragile.started) > before)  # noqa: B023 (it is called at once)
            container.kill()


def guard_of(container):
    (messaging,) = [each for each in container.extensions if isinstance(each, Messaging)]
    return messaging.crash_guard


def ready_in(services, queue):
    """Return how many messages wait in a queue."""
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        return channel.queue_declare(queue, passive=True).message_count
    finally:
        channel.close()


@pytest.fixture
def caller(config):
    """Somebody who calls and dispatches; the queues of the service are there."""
    with hosted(config) as services:
        with running(config, Fragile().service):
            pass
        yield services


def test_message_that_came_back_carries_on_as_a_copy_that_says_so(config, caller):
    fragile = Fragile()
    caller.dispatch("happened", "x")
    crash(config, fragile)

    with running(config, fragile.opened().service) as container:
        wait_until(lambda: fragile.finished == ["x"])

        assert guard_of(container).copied == 1
    (_payload, first), (_payload, second) = fragile.started
    assert second.headers["rpcnode-redeliveries"] == 1
    assert (first.redelivered, second.redelivered) == (False, True)
    assert (first.id, first.body) == (second.id, second.body)
    assert first.headers.get("call_id_stack") == second.headers.get("call_id_stack")
    assert "rpcnode-attempts" not in second.headers


def test_message_that_comes_back_each_time_is_dead_at_the_limit(config, caller, caplog):
    fragile = Fragile()
    caller.dispatch("happened", "x")
    crash({**config, "CRASH_LIMIT": 3}, fragile, times=3)

    with running({**config, "CRASH_LIMIT": 3}, fragile.opened().service) as container:
        dead = take(caller, f"{QUEUE}.dead")

        assert guard_of(container).crashed == 1
    assert fragile.payloads == ["x"] * 3
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"
    assert dead.properties["application_headers"]["rpcnode-exc-type"] == "RedeliveredTooOften"
    assert dead.properties["application_headers"]["rpcnode-handler"] == "fragile.handle"
    assert dead.properties["application_headers"]["rpcnode-origin-key"] == "happened"
    assert "given out 3 times" in caplog.text


def test_first_redelivery_is_the_end_where_the_limit_is_one(config, caller):
    fragile = Fragile()
    caller.dispatch("happened", "x")
    crash(config, fragile)

    with running({**config, "CRASH_LIMIT": 1}, fragile.opened().service):
        dead = take(caller, f"{QUEUE}.dead")

    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"
    assert fragile.payloads == ["x"]


@pytest.mark.parametrize("forged", [0, 30])
def test_count_that_a_sender_made_up_is_not_believed(config, caller, forged):
    fragile = Fragile()
    caller.dispatch("happened", 1, headers={"x-delivery-count": forged})
    crash({**config, "CRASH_LIMIT": 2}, fragile, times=2)
    with running({**config, "CRASH_LIMIT": 2}, fragile.opened().service):
        dead = take(caller, f"{QUEUE}.dead")

    assert fragile.payloads == [1, 1]
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"


def test_message_without_an_id_is_counted_too(config, caller):
    fragile = Fragile()
    channel = caller.extension(Messaging).connection.consuming.channel()
    message = channel.prepare_message(b'"x"', content_type="application/json")
    channel.basic_publish(message, "", QUEUE)
    crash(config, fragile)

    with running(config, fragile.opened().service):
        wait_until(lambda: fragile.finished == ["x"])

    assert fragile.started[1][1].headers["rpcnode-redeliveries"] == 1


def test_copy_expires_when_the_message_would_have(config, caller):
    fragile = Fragile()
    caller.dispatch("happened", "x", expiration=60)
    crash(config, fragile)

    with running(config, fragile.opened().service):
        wait_until(lambda: fragile.finished == ["x"])

    left = int(fragile.started[1][1].properties["expiration"])
    assert 50_000 < left <= 61_000  # the timestamp of the message has no fractions


def test_request_that_came_back_keeps_its_way(config, caller):
    fragile = Fragile()
    caller.rpc.fragile.method.cast("x")
    crash(config, fragile)

    with running(config, fragile.opened().service):
        wait_until(lambda: fragile.finished == ["x"])

    (_payload, first), (_payload, second) = fragile.started
    assert second.headers["rpcnode-redeliveries"] == 1
    # An instance of Nameko finds the method by this.
    assert second.routing_key == first.routing_key == "fragile.method"
    assert second.exchange == first.exchange == "nameko-rpc"


def test_request_that_ends_each_process_is_dead_at_the_limit(config, caller):
    fragile, config = Fragile(), {**config, "CRASH_LIMIT": 2}
    caller.rpc.fragile.method.cast("x")
    crash(config, fragile, times=2)

    with running(config, fragile.opened().service):
        dead = take(caller, f"{REQUESTS}.dead")

    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"
    assert dead.properties["application_headers"]["rpcnode-handler"] == "fragile.method"


def test_caller_who_waits_for_ever_learns_that_it_is_not_run_any_more(config, caller):
    fragile, config = Fragile(), {**config, "CRASH_LIMIT": 2}
    method = caller.rpc.fragile.method.with_options(timeout=None)
    reply = method.call_async("x")
    crash(config, fragile, times=2)

    with running(config, fragile.opened().service):
        with pytest.raises(RedeliveredTooOften, match="given out 2 times"):
            reply.result(timeout=10)


def test_request_that_expires_is_not_copied(config, caller):
    fragile = Fragile()
    reply = caller.rpc.fragile.method.with_options(timeout=20).call_async("x")
    crash(config, fragile)

    with running(config, fragile.opened().service) as container:
        reply.result(timeout=10)

        assert guard_of(container).copied == 0
    assert fragile.started[1][1].redelivered


def test_requeue_of_a_handler_that_fails_is_not_counted_twice(config):
    seen = []

    class Service:
        name = "fragile"
        message = CurrentMessage()

        @event_handler("caller", "happened", requeue_on_error=True)
        def handle(self, _payload):
            seen.append(self.message)
            raise OSError

    with hosted({**config, "CRASH_LIMIT": 2}, Service) as services:
        services.dispatch("happened", "x")
        dead = take(services, f"{QUEUE}.dead")

    assert [message.redelivered for message in seen] == [False, True]
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "exhausted"


@pytest.mark.parametrize("redeliveries", [None, 4])
def test_ten_waiting_messages_survive_fifty_graceful_stops(config, caller, redeliveries):
    # given ten messages, new ones or such that came back before, and no worker for them
    fragile, config = Fragile(), {**config, "MAX_WORKERS": 1, "CRASH_LIMIT": 5}
    headers = {} if redeliveries is None else {"rpcnode-redeliveries": redeliveries}
    for number in range(10):
        caller.rpc.fragile.method.with_options(headers=headers).cast(number)

    # when the service is stopped fifty times
    for _ in range(50):
        stop_while_waiting(config, fragile.service, 10)

    # then each of them runs, once, and has come back once at the most
    with running(config, fragile.opened().service):
        wait_until(lambda: len(fragile.finished) >= 10)
    assert sorted(fragile.finished) == list(range(10))
    counts = {message.headers["rpcnode-redeliveries"] for _payload, message in fragile.started}
    assert counts == {redeliveries or 1}


def test_copies_whose_originals_are_not_settled_go_back_once_at_a_stop(config, caller, monkeypatch):
    # given five messages that came back, whose copies are here and may not start yet
    fragile = Fragile().closed()
    monkeypatch.setattr(crashguard, "WRITTEN", 60)
    for number in range(5):
        caller.dispatch("happened", number)
    with running(config, fragile.service) as container:
        wait_until(lambda: len(fragile.started) == 5)
        container.kill()
    wait_until(lambda: ready_in(caller, QUEUE) == 5)

    # when the service stops
    with running(config, fragile.service) as container:
        unsettled = guard_of(container)._unsettled
        wait_until(lambda: sum(map(len, unsettled.values())) == 5)

    # then none of them is there twice
    wait_until(lambda: ready_in(caller, QUEUE) >= 5)
    assert ready_in(caller, QUEUE) == 5


def test_message_that_cannot_be_copied_runs_all_the_same(config, caller, caplog, monkeypatch):
    fragile = Fragile()
    caller.dispatch("happened", "x")
    crash(config, fragile)
    # A header that cannot be encoded.
    monkeypatch.setattr("rpcnode.extensions.crashguard.REDELIVERIES", b"\xff" * 300)

    with running(config, fragile.opened().service):
        wait_until(lambda: fragile.finished == ["x"])

    assert "cannot be copied; it is run again" in caplog.text
    assert fragile.started[1][1].redelivered
