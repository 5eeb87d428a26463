"""What leaves on the wire: properties, headers, exchanges, on both brokers."""

import json
import time
from types import SimpleNamespace

import kombu
import pytest
from amqp.exceptions import NotFound, PreconditionFailed

from rpcnode.amqp.message import Outgoing
from rpcnode.events import EventDispatcher, event_handler
from rpcnode.exceptions import BrokerRefused
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.replies import ReplyListener
from rpcnode.messaging import Publisher, consume
from rpcnode.rpc import rpc
from tests.hosting import Caller, hosted, take, wait_until

QUEUE = kombu.Queue("jobs", durable=True)


class Context(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx


class Recorder:
    """Makes a service that keeps the context of each of its workers."""

    def __init__(self):
        self.seen = []
        recorder = self

        class Service:
            name = "recorder"
            context = Context()

            @rpc
            def call(self, value=None):
                recorder.seen.append(self.context)
                return value

            @event_handler("caller", "happened")
            def handle(self, payload):
                recorder.seen.append(self.context)

            @consume(QUEUE)
            def take_job(self, payload):
                recorder.seen.append(self.context)

        self.service = Service

    def message(self):
        """Return the message of the one worker that ran, as soon as it did."""
        return self.context().message

    def context(self):
        wait_until(lambda: self.seen)
        (context,) = self.seen
        return context


@pytest.fixture
def recorder():
    return Recorder()


def bind_answers(services, exchange="nameko-rpc"):
    """Make a queue for the replies to raw requests."""
    topic = kombu.Exchange(exchange, type="topic", durable=True)
    answers = kombu.Queue("answers", topic, routing_key="answer", durable=True)
    services.extension(Messaging).declare(answers)


def request(services, headers=None, key="recorder.call", exchange="nameko-rpc", **more):
    """Send a request without a proxy; its reply goes to the queue for raw answers."""
    properties = {
        "message_id": "raw-request",
        "content_type": "application/json",
        "reply_to": "answer",
        "correlation_id": "correlation",
        **more,
    }
    body = b'{"args": [], "kwargs": {}}'
    message = Outgoing(exchange, key, body, properties, headers or {}, mandatory=True)
    services.extension(Messaging).publisher("raw").publish(message, 5)


def has_exchange(services, name):
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        channel.exchange_declare(name, "topic", passive=True)
    except NotFound:
        return False
    channel.close()
    return True


WAYS_TO_SEND = {
    "call": lambda services: services.rpc.recorder.call(),
    "call_async": lambda services: services.rpc.recorder.call.call_async(),
    "cast": lambda services: services.rpc.recorder.call.cast(),
    "event": lambda services: services.dispatch("happened", 1),
    "message": lambda services: services.publish(1, routing_key="jobs"),
}


@pytest.mark.parametrize(
    ("way", "is_persistent", "mode"),
    [
        ("call", False, 1),
        ("call", True, 2),
        ("call_async", False, 2),
        ("cast", False, 2),
        ("event", False, 2),
        ("message", False, 2),
    ],
)
def test_only_a_call_that_is_waited_for_is_transient(config, recorder, way, is_persistent, mode):
    with hosted({**config, "RPC_PERSISTENT": is_persistent}, recorder.service) as services:
        WAYS_TO_SEND[way](services)

        assert recorder.message().properties["delivery_mode"] == mode


def test_correlation_id_of_a_call_does_not_tell_that_of_the_next(config, recorder):
    with hosted(config, recorder.service) as services:
        for _ in range(3):
            services.rpc.recorder.call()

    sent = [each.message.properties for each in recorder.seen]
    ids = [properties["correlation_id"] for properties in sent]
    assert len({each[:16] for each in ids}) == 3
    assert not {each[:16] for each in ids} & {properties["message_id"][:16] for properties in sent}


@pytest.mark.parametrize(("is_persistent", "mode"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("key", ["recorder.call", "recorder.nothing"])
def test_reply_is_transient_unless_rpc_is_persistent(config, recorder, is_persistent, mode, key):
    with hosted({**config, "RPC_PERSISTENT": is_persistent}, recorder.service) as services:
        bind_answers(services)
        request(services, key=key)

        assert take(services, "answers").properties["delivery_mode"] == mode


@pytest.mark.parametrize("way", WAYS_TO_SEND)
def test_every_message_says_what_it_is_and_who_sent_it(config, recorder, way):
    began = int(time.time())
    with hosted(config, recorder.service) as services:
        WAYS_TO_SEND[way](services)
        properties = recorder.message().properties

    assert len(properties["message_id"]) > 16
    assert properties["app_id"] == "caller"
    assert properties["content_type"] == "application/json"
    assert properties["content_encoding"] == "utf-8"
    assert began <= seconds(properties["timestamp"]) <= time.time()


def test_reply_says_what_it_is_and_who_sent_it(config, recorder):
    began = int(time.time())
    with hosted(config, recorder.service) as services:
        bind_answers(services)
        request(services)
        properties = take(services, "answers").properties

    assert properties["message_id"] not in ("", "raw-request")
    assert properties["correlation_id"] == "correlation"
    assert properties["app_id"] == "recorder"
    assert properties["content_type"] == "application/json"
    assert properties["content_encoding"] == "utf-8"
    assert began <= seconds(properties["timestamp"]) <= time.time()


def seconds(timestamp):
    return timestamp if isinstance(timestamp, (int, float)) else timestamp.timestamp()


def test_no_two_messages_share_an_id(config, recorder):
    with hosted(config, recorder.service) as services:
        for _ in range(2):
            for send in WAYS_TO_SEND.values():
                send(services)
        wait_until(lambda: len(recorder.seen) == 2 * len(WAYS_TO_SEND))

    assert len({context.message.id for context in recorder.seen}) == len(recorder.seen)


@pytest.mark.parametrize("way", ["call", "call_async"])
def test_call_with_a_timeout_expires_and_says_how_long_it_is_waited_for(config, recorder, way):
    began = time.time() * 1000
    with hosted(config, recorder.service) as services:
        method = services.rpc.recorder.call.with_options(timeout=20)
        method() if way == "call" else method.call_async()
        message = recorder.message()
        ended = time.time() * 1000

    left = message.headers["rpcnode-timeout-ms"]
    assert 10_000 < left <= 20_000
    assert abs(int(message.properties["expiration"]) - left) <= 1000
    assert int(message.properties["expiration"]) <= 20_000
    assert began + left - 1 <= message.headers["rpcnode-deadline"] <= ended + left + 1


@pytest.mark.parametrize("way", ["call", "call_async"])
def test_call_of_a_worker_says_how_long_the_worker_has_left(config, recorder, way):
    with hosted(config, recorder.service) as services:
        rpc_in_a_hurry = services.dependency("rpc", deadline=time.monotonic() + 5)
        method = rpc_in_a_hurry.recorder.call.with_options(timeout=20)
        method() if way == "call" else method.call_async()
        message = recorder.message()

    assert 0 < message.headers["rpcnode-timeout-ms"] <= 5000
    assert 0 < int(message.properties["expiration"]) <= 5000


@pytest.mark.parametrize("way", ["call without limit", "call_async", "cast", "cast in time"])
def test_what_nobody_gave_a_limit_never_expires(config, recorder, way):
    with hosted(config, recorder.service) as services:
        method = services.rpc.recorder.call
        if way == "call without limit":
            method.with_options(timeout=None)()
        elif way == "call_async":
            method.call_async()
        elif way == "cast":
            method.cast()
        else:
            method.with_options(timeout=5).cast()
        message = recorder.message()

    assert "expiration" not in message.properties
    assert [name for name in message.headers if name.startswith("rpcnode-")] == []


def test_shortest_expiration_is_a_millisecond(config):
    sent = []
    with hosted(config) as services:
        services.container("caller").observers.add(SimpleNamespace(message_published=sent.append))
        for expiration in (0, 0.0004, 1.5):
            services.publish(1, routing_key="nowhere", expiration=expiration)

    assert [message.properties["expiration"] for message in sent] == ["1", "1", "1500"]


@pytest.mark.parametrize("send", [WAYS_TO_SEND["call"], WAYS_TO_SEND["event"]])
def test_context_data_is_sent_under_the_own_prefix(config, recorder, send):
    with hosted({**config, "HEADER_PREFIX": "shop"}, recorder.service) as services:
        send(services)
        message = recorder.message()

    (call_id,) = message.headers["shop.call_id_stack"]
    assert call_id.startswith("caller.method.")
    assert [name for name in message.headers if name.startswith("nameko.")] == []


def test_own_prefix_and_nameko_s_are_understood(config, recorder):
    headers = {
        "shop.language": "de",
        "nameko.user_id": 7,
        "nameko.call_id_stack": ["outer"],
        "other.auth_token": "x",
    }
    with hosted({**config, "HEADER_PREFIX": "shop"}, recorder.service) as services:
        bind_answers(services)
        request(services, headers)
        context = recorder.context()

    assert context.data["language"] == "de"
    assert context.data["user_id"] == 7
    assert context.call_id_stack[0] == "outer"
    assert set(context.data) == {"language", "user_id", "call_id_stack"}


def test_foreign_headers_are_readable_and_not_sent_on(config, recorder):
    class Between:
        name = "between"
        context = Context()
        publish = Publisher(routing_key="jobs")
        seen = []

        @rpc
        def call(self):
            self.seen.append(self.context.message.headers["foreign"])
            self.publish(1)

    with hosted({**config, "HEADER_PREFIX": "shop"}, recorder.service, Between) as services:
        bind_answers(services)
        request(services, {"foreign": "x", "nameko.user_id": 7}, key="between.call")
        message = recorder.message()

    assert Between.seen == ["x"]
    assert set(message.headers) == {"shop.user_id", "shop.call_id_stack"}
    assert message.headers["shop.user_id"] == 7


def test_requests_go_through_the_exchange_that_is_configured(config, recorder):
    with hosted({**config, "RPC_EXCHANGE": "shop-rpc"}, recorder.service) as services:
        everything = kombu.Queue("tap", kombu.Exchange("shop-rpc", type="topic"), routing_key="#")
        services.extension(Messaging).declare(everything)
        assert services.rpc.recorder.call("x") == "x"
        sent = take(services, "tap")

        assert not has_exchange(services, "nameko-rpc")
    assert sent.delivery_info["routing_key"] == "recorder.call"
    assert recorder.message().exchange == "shop-rpc"


def test_replies_to_strangers_go_through_the_exchange_of_the_request(config, recorder):
    with hosted({**config, "RPC_EXCHANGE": "shop-rpc"}, recorder.service) as services:
        bind_answers(services, "shop-rpc")
        request(services, exchange="shop-rpc")
        reply = take(services, "answers")

    assert reply.delivery_info["exchange"] == "shop-rpc"
    assert reply.delivery_info["routing_key"] == "answer"


def test_replies_go_straight_into_the_queue_of_an_rpcnode_caller(config, recorder):
    with hosted(config, recorder.service) as services:
        received = []
        watch = type("W", (), {"message_received": lambda _self, each: received.append(each)})()
        services.container("caller").observers.add(watch)
        assert services.rpc.recorder.call("x") == "x"

    assert [reply.exchange for reply in received] == [""]
    assert [reply.routing_key for reply in received] == [reply.queue for reply in received]


@pytest.mark.parametrize("app_id", ["a-stranger", "x" * 255, "\N{SNOWMAN}"])
def test_reply_to_who_has_no_such_queue_goes_through_the_exchange(config, recorder, app_id):
    with hosted(config, recorder.service) as services:
        bind_answers(services)
        request(services, app_id=app_id)
        reply = take(services, "answers")

    assert json.loads(reply.body) == {"result": None, "error": None}


@pytest.mark.parametrize("is_auto_deleted", [False, True])
def test_event_exchange_goes_with_its_last_queue_if_it_is_to(config, is_auto_deleted):
    class Listener:
        name = "listener"

        @event_handler("caller", "happened", reliable_delivery=False)
        def handle(self, payload): ...

    with hosted({**config, "AUTO_DELETE_EVENT_EXCHANGES": is_auto_deleted}) as services:
        assert has_exchange(services, "caller.events")
        with hosted({**config, "AUTO_DELETE_EVENT_EXCHANGES": is_auto_deleted}, Listener):
            assert has_exchange(services, "caller.events")

        wait_until(lambda: has_exchange(services, "caller.events") != is_auto_deleted)


@pytest.mark.parametrize("is_auto_deleted", [False, True])
def test_event_exchange_has_one_declaration_on_both_sides(config, is_auto_deleted):
    mine = {**config, "AUTO_DELETE_EVENT_EXCHANGES": is_auto_deleted}
    theirs = {**config, "AUTO_DELETE_EVENT_EXCHANGES": not is_auto_deleted}
    with hosted(mine, Recorder().service):
        for service in (Dispatching, Recorder().service):
            with pytest.raises(BrokerRefused, match=r"caller\.events"), hosted(theirs, service):
                pass


class Dispatching:
    name = "dispatching"
    dispatch = EventDispatcher()

    @rpc
    def method(self): ...


def test_event_exchange_is_left_to_others_to_declare(config, recorder):
    config = {**config, "DECLARE_EVENT_EXCHANGES": False}
    with hosted(config) as services:
        assert not has_exchange(services, "caller.events")
        with pytest.raises(BrokerRefused), hosted(config, recorder.service):
            pass
        assert not has_exchange(services, "caller.events")
        theirs = kombu.Exchange("caller.events", type="topic", durable=False)
        services.extension(Messaging).declare_once(theirs)
        with hosted(config, recorder.service):
            services.dispatch("happened", 1)

            assert recorder.message().exchange == "caller.events"


def test_reply_queue_outlives_its_consumer_for_five_minutes(config):
    with hosted(config) as services:
        name = services.extension(ReplyListener)._consumer.queue_name
        connection = services.extension(Messaging).connection.consuming

        def declare(milliseconds):
            arguments = {"x-expires": milliseconds}
            connection.channel().queue_declare(
                name, durable=True, auto_delete=False, arguments=arguments
            )

        assert name.startswith(f"rpc.reply-{Caller.name}-")
        declare(300_000)
        with pytest.raises(PreconditionFailed, match="x-expires"):
            declare(300_001)
