"""Services whose queues are quorum queues: `QUEUE_TYPE: quorum`."""

import kombu
import pytest
from amqp.exceptions import NotFound, PreconditionFailed

from rpcnode.concurrency import Event
from rpcnode.events import BROADCAST, SINGLETON, EventHandler, event_handler
from rpcnode.exceptions import BrokerRefused
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import consume
from rpcnode.retry import Fixed, Retry
from rpcnode.rpc import rpc
from tests.extensions.stopping import running, stop_while_waiting
from tests.hosting import hosted, take, wait_until

TYPE = {"x-queue-type": "quorum"}
DEAD = {**TYPE, "x-max-length": 100_000, "x-overflow": "reject-publish"}
POOL = "evt-caller-happened--service.handle"
LIMIT = 20


def owner(name):
    """Return the arguments of a queue whose messages die when they come back too often."""
    return {
        **TYPE,
        "x-delivery-limit": LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{name}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


class Steady(EventHandler):
    broadcast_identifier = "here"


@pytest.fixture
def config(config):
    """The configuration of the tests of extensions, with quorum queues."""
    return {**config, "QUEUE_TYPE": "quorum"}


class Recorder:
    """Makes a service that notes its messages, fails as told, and waits while the gate is shut."""

    def __init__(self, fail=(), **options):
        self.got, self.fail, self.gate = [], list(fail), Event()
        self.gate.set()
        recorder = self

        class Service:
            name = "service"
            message = CurrentMessage()

            @event_handler("caller", "happened", **options)
            def handle(self, payload):
                recorder.note(self.message, payload)

            @rpc
            def method(self, payload):
                recorder.note(self.message, payload)
                return payload

        self.service = Service

    def note(self, message, payload):
        self.got.append((payload, message))
        self.gate.wait()
        if self.fail:
            raise self.fail.pop(0)

    @property
    def payloads(self):
        return [payload for payload, _message in self.got]


def channel_of(services):
    return services.extension(Messaging).connection.consuming.channel()


def is_declared(services, name, arguments, **options):
    """Return whether a queue is there with just these arguments."""
    channel = channel_of(services)
    try:
        channel.queue_declare(name, passive=True)
        channel.queue_declare(
            name, **{"durable": True, "auto_delete": False, **options}, arguments=arguments
        )
    except (NotFound, PreconditionFailed):
        return False
    channel.close()
    return True


def test_calls_events_and_failures_work(config):
    recorder = Recorder(fail=[OSError("first"), OSError("second")])
    with hosted(config, recorder.service) as services:
        services.dispatch("happened", "event")
        dead = take(services, f"{POOL}.dead")
        with pytest.raises(Exception, match="second"):
            services.rpc.service.method("call")

        assert services.rpc.service.method("call") == "call"
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "exhausted"


def test_queues_of_calls_and_shared_events_are_quorum_queues(config):
    class Service:
        name = "service"

        @rpc
        def method(self): ...

        @event_handler("caller", "happened")
        def handle(self, payload): ...

        @event_handler("caller", "once", handler_type=SINGLETON)
        def once(self, payload): ...

    with hosted(config, Service) as services:
        for name in ("rpc-service", POOL, "evt-caller-once"):
            assert is_declared(services, name, owner(name))
            assert is_declared(services, f"{name}.dead", DEAD)


def test_queues_that_nobody_shares_stay_classic(config):
    class Service:
        name = "service"

        @Steady.decorator("caller", "all", handler_type=BROADCAST, reliable_delivery=True)
        def everywhere(self, payload): ...

        @event_handler("caller", "some", reliable_delivery=False)
        def now_and_then(self, payload): ...

        @event_handler("caller", "here", handler_type=BROADCAST)
        def broadcast(self, payload): ...

    with hosted(config, Service) as services:
        assert is_declared(services, "evt-caller-all--service.everywhere-here", {})
        unreliable = "evt-caller-some--service.now_and_then"
        assert is_declared(services, unreliable, {}, auto_delete=True)


def test_hold_queue_is_of_its_owner_s_type(config):
    recorder = Recorder(fail=[OSError()], retry=Retry(2, delay=Fixed(0.5), jitter=0))
    hold = {
        **TYPE,
        "x-message-ttl": 500,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": POOL,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    with hosted(config, recorder.service) as services:
        services.dispatch("happened", "event")
        wait_until(lambda: len(recorder.got) == 2)

        assert is_declared(services, f"rpcnode.hold.{POOL}.q.500", hold)


def test_arguments_of_a_user_s_queue_are_kept(config):
    got = []
    queue = kombu.Queue("jobs", durable=True, max_length=7)

    class Service:
        name = "service"

        @consume(queue)
        def handle(self, payload):
            got.append(payload)
            raise OSError

    with hosted(config, Service) as services:
        services.publish("x", routing_key="jobs")
        take(services, "jobs.dead")

        assert is_declared(services, "jobs", {"x-max-length": 7})
        assert is_declared(services, "jobs.dead", DEAD)
    assert got == ["x"]


def test_dead_queue_that_was_deleted_is_there_again_with_the_next_connection(config):
    with hosted(config, Recorder().service) as services:
        channel = channel_of(services)
        channel.queue_delete(f"{POOL}.dead")
        # The consumer attaches anew when its queue was deleted, too.
        channel.queue_delete(POOL)

        wait_until(lambda: is_declared(services, POOL, owner(POOL)))
        assert is_declared(services, f"{POOL}.dead", DEAD)


def test_classic_queue_that_is_there_is_refused_with_what_to_do(config):
    with hosted({**config, "QUEUE_TYPE": "classic"}, Recorder().service):
        pass

    with pytest.raises(BrokerRefused) as caught:
        with hosted(config, Recorder().service):
            pass

    text = str(caught.value)
    assert "queue 'rpc-service'" in text or f"queue '{POOL}'" in text
    assert "'x-dead-letter-exchange'" in text
    assert "received the value '' of type 'longstr' but current is none" in text
    assert "QUEUE_TYPE" in text
    assert "delete the old one once it is empty" in text


def test_message_that_the_broker_gives_up_is_in_the_dead_queue(config):
    with hosted(config) as services:
        with running(config, Recorder().service):
            pass
        services.dispatch("happened", "x")
        channel = channel_of(services)
        for _ in range(LIMIT + 1):
            message = wait_until(lambda: channel.basic_get(POOL))
            channel.basic_reject(message.delivery_tag, requeue=True)

        dead = take(services, f"{POOL}.dead")

    (death,) = dead.properties["application_headers"]["x-death"]
    assert (death["reason"], death["queue"]) == ("delivery_limit", POOL)


def test_crashes_are_counted_by_the_queue_and_then_in_a_copy(config):
    recorder, config = Recorder(), {**config, "CRASH_LIMIT": 3}
    with hosted(config) as services:
        with running(config, recorder.service):
            pass
        services.dispatch("happened", "x")
        recorder.gate = Event()
        for number in range(1, 4):
            with running(config, recorder.service) as container:
                wait_until(lambda: len(recorder.got) == number)  # noqa: B023 (called at once)
                container.kill()
        recorder.gate.set()
        with running(config, recorder.service):
            dead = take(services, f"{POOL}.dead")

    headers = [message.headers for _payload, message in recorder.got]
    assert [each.get("x-delivery-count") or 0 for each in headers] == [0, 1, 0]
    # The second time it is no longer before its neighbours: they would be counted with it.
    assert [each.get("rpcnode-redeliveries") for each in headers] == [None, None, 2]
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"


def test_ten_waiting_messages_survive_fifty_graceful_stops(config):
    # given ten calls, and no worker for them
    recorder, config = Recorder(), {**config, "MAX_WORKERS": 1, "CRASH_LIMIT": 5}
    with hosted(config) as services:
        with running(config, recorder.service):
            pass
        for number in range(10):
            services.rpc.service.method.cast(number)

        # when the service is stopped fifty times
        for _ in range(50):
            stop_while_waiting(config, recorder.service, 10)

        # then each of them runs, once
        with running(config, recorder.service):
            wait_until(lambda: len(recorder.got) >= 10)
    assert sorted(recorder.payloads) == list(range(10))
