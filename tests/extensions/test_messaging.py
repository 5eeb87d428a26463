"""Consuming any queue and publishing to any exchange, on the embedded broker and on RabbitMQ."""

import logging

import kombu
import pytest
from amqp.exceptions import NotFound

from rpcnode import serialization
from rpcnode.amqp.message import Outgoing
from rpcnode.concurrency import Event, kill, sleep
from rpcnode.exceptions import (
    BrokerRefused,
    ConfigurationError,
    PublishRejected,
    UndeliverableMessage,
    UnserializableHeader,
)
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import Publisher, consume
from rpcnode.rpc import rpc
from tests.hosting import hosted, take, wait_until

EXCHANGE = kombu.Exchange("jobs", type="topic", durable=True)
QUEUE = kombu.Queue("jobs-all", EXCHANGE, routing_key="#", durable=True)


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


def make_service(got, queue=QUEUE, fail=(), **options):
    failures = list(fail)

    class Service:
        name = "service"
        message = CurrentMessage()

        @consume(queue, **options)
        def handle(self, payload):
            got.append((payload, self.message))
            if failures:
                raise failures.pop(0)

    return Service


def payloads(got):
    return [payload for payload, _message in got]


def test_messages_of_a_queue_fire_the_method(config):
    got = []
    with hosted(config, make_service(got)) as services:
        services.publish({"n": 1}, routing_key="jobs-all")
        wait_until(lambda: got)

    payload, message = got[0]
    assert payload == {"n": 1}
    assert message.queue == "jobs-all"
    assert message.routing_key == "jobs-all"
    assert message.exchange == ""


def test_publisher_declares_its_exchange_and_what_it_is_told_to(config):
    got = []

    class Source:
        name = "source"
        publish = Publisher(EXCHANGE, declare=[QUEUE], routing_key="a.b", headers={"shop": "x"})

        @rpc
        def method(self):
            self.publish(1, mandatory=True)
            self.publish(2, routing_key="c", headers={"more": "y"}, priority=3, type="t")

    with hosted(config, Source) as services:
        services.rpc.source.method()
        with hosted(config, make_service(got)):
            wait_until(lambda: len(got) == 2)

    (_, first), (_, second) = got
    assert payloads(got) == [1, 2]
    assert (first.routing_key, second.routing_key) == ("a.b", "c")
    assert first.headers["shop"] == "x"
    assert (second.headers["shop"], second.headers["more"]) == ("x", "y")
    assert first.headers["nameko.call_id_stack"][-1].startswith("source.method.")
    assert second.properties["priority"] == 3
    assert second.properties["type"] == "t"
    assert first.properties["delivery_mode"] == 2
    assert first.properties["app_id"] == "source"


def test_options_of_a_publish_are_kept_to_it(config):
    with hosted(config, make_service([])) as services:
        with pytest.raises(UndeliverableMessage, match="nowhere"):
            services.publish(1, routing_key="nowhere", mandatory=True)
        services.publish(1, routing_key="nowhere")
        with pytest.raises(ConfigurationError, match="'colour'"):
            services.publish(1, colour="red")
        with pytest.raises(UnserializableHeader, match="bad"):
            services.publish(1, routing_key="jobs-all", headers={"bad": object()})
        with pytest.raises(PublishRejected, match="expire"):
            services.publish(1, routing_key="jobs-all", expiration=-1)


@pytest.mark.parametrize("kind", ["zlib", "bzip2"])
def test_bodies_may_be_compressed(config, kind):
    got = []
    with hosted(config, make_service(got)) as services:
        services.publish("x" * 1000, routing_key="jobs-all", compression=kind)
        wait_until(lambda: got)
        with pytest.raises(ConfigurationError, match="no compression 'zip'"):
            services.publish("x", routing_key="jobs-all", compression="zip")

    assert payloads(got) == ["x" * 1000]
    assert len(got[0][1].body) < 100


def test_msgpack_is_another_serializer(config):
    got = []
    with hosted({**config, "ACCEPT": ["json", "msgpack"]}, make_service(got)) as services:
        services.publish(b"\xff", routing_key="jobs-all", serializer="msgpack")
        wait_until(lambda: got)

    assert payloads(got) == [b"\xff"]
    assert got[0][1].properties["content_type"] == "application/x-msgpack"


def send_raw(services, body, headers=None, **properties):
    messaging = services.extension(Messaging)
    known = {"message_id": "raw", "content_type": "application/json", **properties}
    known = {name: value for name, value in known.items() if value is not None}
    message = Outgoing("", "jobs-all", body, known, headers or {})
    messaging.publisher("raw").publish(message, 5)


@pytest.mark.parametrize(
    ("body", "properties", "text"),
    [
        (b"{", {}, "the body is not json"),
        (b"\xff", {}, "the body is not json"),
        (b"1", {"content_type": "text/plain"}, "'text/plain' is not accepted"),
        (b"1", {"content_type": "application/x-python-serialize"}, "is not accepted"),
        (b'"\xff"', {"content_encoding": "no-such-charset"}, "no-such-charset"),
        (b"[" * 100_000, {}, "the body is not json"),
    ],
)
def test_message_that_cannot_be_read_is_dead_at_once(config, body, properties, text):
    got = []
    with hosted(config, make_service(got)) as services:
        send_raw(services, body, **properties)
        dead = take(services, "jobs-all.dead")
        services.publish("fine", routing_key="jobs-all")
        wait_until(lambda: got)

    headers = dead.properties["application_headers"]
    assert dead.body == body
    assert dead.properties["message_id"] == "raw"
    assert headers["rpcnode-dead-reason"] == "undecodable"
    assert text in headers["rpcnode-exc-message"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/x-gzip", "more than 1000 bytes when decompressed"),
        ("application/x-7z-compressed", "'application/x-7z-compressed', which is not known"),
    ],
)
def test_message_that_is_no_good_compressed_is_dead_at_once(config, monkeypatch, kind, text):
    monkeypatch.setattr(serialization, "LARGEST_BODY", 1000)
    bomb, _kind = serialization.compress(b'"' + b"x" * 10_000 + b'"', "zlib")
    got = []
    with hosted(config, make_service(got)) as services:
        send_raw(services, bomb, headers={"compression": kind})
        dead = take(services, "jobs-all.dead")
        services.publish("fine", routing_key="jobs-all", compression="zlib")
        wait_until(lambda: got)

    headers = dead.properties["application_headers"]
    assert dead.body == bomb
    assert payloads(got) == ["fine"]
    assert headers["rpcnode-dead-reason"] == "undecodable"
    assert headers["compression"] == kind
    assert text in headers["rpcnode-exc-message"]


def test_message_without_content_type_is_read_with_the_own_serializer(config):
    got = []
    with hosted(config, make_service(got)) as services:
        send_raw(services, b"[1]", content_type=None)
        wait_until(lambda: got)

    assert payloads(got) == [[1]]


def test_failed_message_is_dead_and_the_next_one_runs(config):
    got = []
    with hosted(config, make_service(got, fail=[OSError("disk")])) as services:
        services.publish(1, routing_key="jobs-all", headers={"x-death": "y", "long": "z" * 5000})
        dead = take(services, "jobs-all.dead")
        services.publish(2, routing_key="jobs-all")
        wait_until(lambda: len(got) == 2)

    headers = dead.properties["application_headers"]
    assert headers["rpcnode-dead-reason"] == "exhausted"
    assert headers["rpcnode-exc-type"] == "OSError"
    assert "x-death" not in headers
    assert headers["long"] == "z" * 2048


def test_headers_too_large_for_a_dead_copy_are_dropped(config):
    got = []
    headers = {f"header-{number}": "x" * 2000 for number in range(60)}
    with hosted(config, make_service(got, fail=[OSError("disk")])) as services:
        services.publish("body", routing_key="jobs-all", headers=headers)
        dead = take(services, "jobs-all.dead")

    kept = dead.properties["application_headers"]
    assert dead.body == b'"body"'
    assert kept["rpcnode-exc-type"] == "OSError"
    assert kept.get("rpcnode-headers-dropped") or kept["header-59"] == "x" * 2000


def test_full_dead_queue_holds_what_fails(config, caplog):
    got = []
    failures = [OSError(number) for number in range(3)]
    service = make_service(got, fail=failures)
    with hosted({**config, "DEAD_MAX_LENGTH": 1}, service) as services:
        for number in range(2):
            services.publish(number, routing_key="jobs-all")
        wait_until(lambda: "is full" in caplog.text)
        first = take(services, "jobs-all.dead")
        second = take(services, "jobs-all.dead")

    assert {first.body, second.body} == {b"0", b"1"}
    assert sorted(payloads(got)) == [0, 1]


def test_killed_worker_leaves_its_message_to_the_next(config):
    got, entered = [], Event()

    class Service:
        name = "service"
        message = CurrentMessage()

        @consume(QUEUE)
        def handle(self, payload):
            got.append((payload, self.message.redelivered))
            if len(got) == 1:
                entered.set()
                sleep(60)

    with hosted(config, Service) as services:
        services.publish("x", routing_key="jobs-all")
        entered.wait(5)
        (thread,) = services.container("service").default_lane.threads
        kill(thread)
        wait_until(lambda: len(got) == 2)

    assert got == [("x", False), ("x", True)]


def test_queue_with_other_arguments_is_refused_with_what_to_do(config):
    changed = kombu.Queue("jobs-all", EXCHANGE, routing_key="#", durable=True, max_length=5)
    with hosted(config, make_service([])) as services:
        with pytest.raises(BrokerRefused, match=r"'jobs-all'.*max-length.*other arguments"):
            with hosted(config, make_service([], queue=changed)):
                pass
        services.publish(1, routing_key="jobs-all", mandatory=True)


@pytest.mark.filterwarnings("ignore:Publisher")
def test_publisher_of_a_queue_is_nameko_s_old_spelling(config):
    got = []
    with pytest.warns(DeprecationWarning, match="queue="):
        publisher = Publisher(queue=QUEUE)

    class Source:
        name = "source"
        publish = publisher

        @rpc
        def method(self):
            self.publish("x", routing_key="any")

    with hosted(config, Source) as services:
        services.rpc.source.method()
        with hosted(config, make_service(got)):
            wait_until(lambda: payloads(got) == ["x"])


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: consume("jobs")(make_service), "consume wants a kombu.Queue, not 'jobs'"),
        (lambda: Publisher("jobs"), "Publisher wants a kombu.Exchange, not 'jobs'"),
        (lambda: Publisher(QUEUE), "Publisher wants a kombu.Exchange"),
        (lambda: Publisher(queue="jobs"), "wants a kombu.Queue, not 'jobs'"),
        (lambda: Publisher(ssl=True), "no publisher option 'ssl'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Publisher")
def test_wrong_declarations_are_refused(declare, text):
    with pytest.raises(ConfigurationError, match=text):
        declare()


def test_routing_key_that_is_no_text_is_refused(config):
    with hosted(config) as services, pytest.raises(PublishRejected, match="a text, not 5"):
        services.publish(1, routing_key=5)


def test_full_dead_queue_holds_up_nothing_else(config):
    class Service(make_service([], fail=[OSError(number) for number in range(9)])):
        @rpc
        def method(self):
            return "returned"

    more = {"DEAD_MAX_LENGTH": 1, "MAX_WORKERS": 2, "PREFETCH_COUNT": 8}
    with hosted({**config, **more}, Service) as services:
        for number in range(8):
            services.publish(number, routing_key="jobs-all")
        dead_letters = services.extension(Messaging, "service").dead_letters
        wait_until(lambda: dead_letters.is_full)

        problems = services.container("service").problems()
        assert problems == ["service: dead queue jobs-all.dead is full"]
        assert services.rpc.service.method.with_options(timeout=2)() == "returned"
    # What was held is in its queue again.
    got = []
    with hosted(config, make_service(got)):
        wait_until(lambda: len(got) == 7)


def test_dead_queue_that_exists_is_used_whatever_its_limit_is(config):
    got = []
    for limit, number in ((5, 1), (6, 2)):
        service = make_service(got, fail=[OSError()])
        with hosted({**config, "DEAD_MAX_LENGTH": limit}, service) as services:
            services.publish(number, routing_key="jobs-all")
            wait_until(lambda: depth(services, "jobs-all.dead") == number)  # noqa: B023 (at once)


def depth(services, queue):
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        return channel.queue_declare(queue, passive=True).message_count
    except NotFound:
        return 0
    finally:
        channel.close()


def test_redelivery_says_so(config, caplog):
    got = []
    with hosted(config, make_service(got, fail=[OSError()], requeue_on_error=True)) as services:
        services.publish("x", routing_key="jobs-all")
        wait_until(lambda: len(got) == 2)

    assert [message.redelivered for _payload, message in got] == [False, True]
    assert not [each for each in caplog.records if each.levelno > logging.ERROR]
