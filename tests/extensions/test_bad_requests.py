"""Requests as no proxy would send them, on the embedded broker and on RabbitMQ."""

import json
import time

import kombu
import pytest

from rpcnode.amqp.message import Outgoing
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import rpc
from tests.hosting import hosted, take, wait_until

GOOD = b'{"args": [1], "kwargs": {}}'


class Service:
    name = "service"
    calls = []

    @rpc
    def method(self, value):
        self.calls.append(value)
        if value == "bad":
            raise ValueError("boom")
        return value


@pytest.fixture(autouse=True)
def _no_calls():
    Service.calls.clear()


@pytest.fixture
def services(config):
    with hosted({**config, "MAX_WORKERS": 1}, Service) as services:
        yield services
        # Whatever came before, the service goes on.
        assert services.rpc.service.method("alive") == "alive"


def send(services, body=GOOD, key="service.method", headers=None, **properties):
    """Send a request; what is None is left out of its properties."""
    messaging = services.extension(Messaging)
    exchange = kombu.Exchange("nameko-rpc", type="topic", durable=True)
    messaging.declare(kombu.Queue("answers", exchange, routing_key="answer", durable=True))
    known = {
        "message_id": "raw-request",
        "content_type": "application/json",
        "reply_to": "answer",
        "correlation_id": "correlation",
        **properties,
    }
    known = {name: value for name, value in known.items() if value is not None}
    message = Outgoing("nameko-rpc", key, body, known, headers or {}, mandatory=True)
    messaging.publisher("raw").publish(message, 5)


def answer(services):
    message = take(services, "answers")
    assert message.properties.get("correlation_id") == "correlation"
    return json.loads(message.body)


def error_of(services):
    reply = answer(services)
    assert reply["result"] is None
    return reply["error"]


def test_request_in_nameko_s_spelling_is_answered(services):
    send(services)

    assert answer(services) == {"result": 1, "error": None}


@pytest.mark.parametrize(
    ("body", "properties", "text"),
    [
        (b"{not json", {}, "the body is not json"),
        (b"", {}, "the body is not json"),
        (b"\xff\xfe", {}, "the body is not json"),
        (GOOD, {"content_type": "text/plain"}, "'text/plain' is not accepted"),
        (GOOD, {"content_type": "application/x-python-serialize"}, "is not accepted"),
        (b"[1, 2]", {}, "missing `args` or `kwargs`"),
        (b'"text"', {}, "missing `args` or `kwargs`"),
        (b"null", {}, "missing `args` or `kwargs`"),
        (b'{"args": []}', {}, "missing `args` or `kwargs`"),
        (b'{"args": 5, "kwargs": {}}', {}, "`args` must be a list"),
        (b'{"args": [], "kwargs": []}', {}, "`kwargs` an object"),
    ],
)
def test_unreadable_request_is_answered_as_malformed(services, body, properties, text):
    send(services, body, **properties)

    error = error_of(services)
    assert error["exc_path"] == "nameko.exceptions.MalformedRequest"
    assert text in error["value"]


def test_request_without_content_type_is_read_with_the_own_serializer(services):
    send(services, content_type=None)

    assert answer(services) == {"result": 1, "error": None}


def test_unknown_method_is_answered(services):
    send(services, key="service.__init__")

    assert error_of(services)["exc_path"] == "nameko.exceptions.MethodNotFound"


def test_wrong_arguments_are_answered(services):
    send(services, b'{"args": [1, 2, 3], "kwargs": {}}')

    assert error_of(services)["exc_path"] == "nameko.exceptions.IncorrectSignature"
    assert "alive" not in Service.calls


def test_request_without_reply_to_runs_and_is_done(services):
    send(services, reply_to=None)

    wait_until(lambda: Service.calls == [1])


@pytest.mark.parametrize(
    ("body", "key", "reason"),
    [
        (b'{"args": ["bad"], "kwargs": {}}', "service.method", "exhausted"),
        (b"{not json", "service.method", "undecodable"),
        (b"[]", "service.method", "invalid"),
        (GOOD, "service.nothing", "invalid"),
        (b'{"args": [], "kwargs": {}}', "service.method", "invalid"),
    ],
)
def test_request_that_fails_without_reply_to_is_dead(services, body, key, reason):
    send(services, body, key, reply_to=None)

    dead = take(services, "rpc-service.dead")
    assert dead.body == body
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == reason
    assert dead.properties["application_headers"]["rpcnode-origin-key"] == key


def test_request_that_is_too_late_is_not_run(services):
    long_ago = round(time.time() * 1000) - 60_000
    send(services, headers={"rpcnode-deadline": long_ago})

    assert error_of(services)["exc_path"] == "nameko.exceptions.RpcTimeout"
    assert services.extension(RpcConsumer, "service").counts.expired == 1
    assert Service.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"nameko.call_id_stack": "no list"},
        {"nameko.call_id_stack": [1, 2]},
        {"rpcnode-deadline": "soon"},
        {"rpcnode-timeout-ms": -1.5e300},
        {"compression": None},
        {"rpcnode-origin-key": "service.other"},
    ],
)
def test_headers_that_mean_nothing_do_no_harm(services, headers):
    send(services, headers=headers)

    reply = answer(services)
    assert reply["result"] == 1 or reply["error"]["exc_type"] == "MalformedRequest"


@pytest.mark.parametrize("exchange", ["nope", "x" * 240])
def test_forged_origin_leads_a_reply_nowhere_else(services, exchange):
    messaging = services.extension(Messaging)
    messaging.declare(kombu.Queue("answers", durable=True))
    for number in range(3):
        properties = {
            "message_id": f"forged-{number}",
            "content_type": "application/json",
            "reply_to": "answers",
            "correlation_id": "correlation",
        }
        headers = {"rpcnode-origin-exchange": exchange, "rpcnode-origin-key": "service.method"}
        forged = Outgoing("", "rpc-service", GOOD, properties, headers, mandatory=True)
        messaging.publisher("raw").publish(forged, 5)

    for _ in range(3):
        assert answer(services) == {"result": 1, "error": None}


@pytest.mark.parametrize("app_id", [None, "stranger"])
def test_reply_that_would_go_through_the_default_exchange_is_tried_once(services, app_id):
    properties = {
        "message_id": "past-the-exchange",
        "content_type": "application/json",
        "reply_to": "nobody-listens",
        "app_id": app_id,
    }
    properties = {name: value for name, value in properties.items() if value is not None}
    headers = {"rpcnode-origin-exchange": "nope", "rpcnode-origin-key": "service.method"}
    request = Outgoing("", "rpc-service", GOOD, properties, headers)

    services.extension(Messaging).publisher("raw").publish(request, 5)

    consumer = services.extension(RpcConsumer, "service")
    wait_until(lambda: consumer.counts.unclaimed == 1)
    assert services.extension(Messaging, "service").outbox.wait_idle(5)


def test_nested_headers_do_no_harm(services):
    nested = []
    for _ in range(300):
        nested = [nested]
    send(services, headers={"nested": nested}, reply_to=None)
    send(services, b"{not json", headers={"nested": nested}, reply_to=None)

    wait_until(lambda: Service.calls == [1])
    dead = take(services, "rpc-service.dead")
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "undecodable"


def test_names_in_requests_are_not_remembered_nor_told_at_length(services):
    send(services, json.dumps({"args": [], "kwargs": {"x" * 100_000: 1}}).encode())

    assert len(error_of(services)["value"]) < 1000


def test_reply_goes_nowhere_when_its_queue_does_not_exist(services):
    send(services, reply_to="nobody-listens")

    wait_until(lambda: services.extension(RpcConsumer, "service").counts.unclaimed == 1)
