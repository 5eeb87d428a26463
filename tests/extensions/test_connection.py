"""How extensions share a connection, and what other transports can do."""

import kombu
import pytest

from rpcnode.events import BROADCAST, EventDispatcher, event_handler
from rpcnode.exceptions import UnsupportedByTransport
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import Publisher, consume
from rpcnode.retry import Retry, RetryLater
from rpcnode.rpc import RpcProxy
from rpcnode.runners import run_services
from rpcnode.timer import timer
from tests.hosting import hosted, wait_until


@pytest.fixture
def folder_config(tmp_path):
    """A configuration for kombu's transport over a folder, one of those that are not ours."""
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
        "polling_interval": 0.05,
    }
    return {"AMQP_URI": "filesystem://", "TRANSPORT_OPTIONS": options}


def make_services(count):
    class Service:
        @event_handler("caller", "placed")
        def handle(self, payload): ...

    return [type("Service", (Service,), {"name": f"service-{n}"}) for n in range(count)]


def test_services_of_a_runner_share_two_connections(vhost_uri, management_api):
    vhost = vhost_uri.rpartition("/")[2]

    def connections():
        listed = management_api.request("GET", "connections")
        return [each for each in listed if each.get("vhost") == vhost]

    with hosted({"AMQP_URI": vhost_uri}, *make_services(20)) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(connections()) == 2)
        shared = {services.container(f"service-{n}").extensions[0].connection for n in range(20)}

    assert len(shared) == 1
    wait_until(lambda: connections() == [])


def test_stopped_container_leaves_the_connection_to_the_others(config):
    got = []

    class Service:
        name = "service"

        @event_handler("caller", "placed")
        def handle(self, payload):
            got.append(payload)

    with hosted(config, Service, *make_services(1)) as services:
        services.container("service-0").stop()
        services.dispatch("placed", 1)
        wait_until(lambda: got)


def test_messages_travel_over_another_transport(folder_config):
    got = []
    jobs = kombu.Queue("jobs")

    class Service:
        name = "service"

        @consume(jobs)
        def handle(self, payload):
            got.append(payload)
            if payload == "bad":
                raise RetryLater(1, "this transport can hold nothing")

    class Undertaker:
        name = "undertaker"

        @consume(kombu.Queue("jobs.dead"))
        def bury(self, payload):
            got.append(f"buried {payload}")

    class Source:
        name = "source"
        publish = Publisher()
        dispatch = EventDispatcher()

        @timer(60, eager=True)
        def tick(self):
            self.publish("good", routing_key="jobs")
            self.publish("bad", routing_key="jobs")

    with run_services(folder_config, Service, Undertaker, Source):
        wait_until(lambda: sorted(got) == ["bad", "buried bad", "good"])


class Caller:
    name = "source"
    other = RpcProxy("other")

    @timer(60)
    def tick(self): ...


class Listener:
    name = "listener"

    @event_handler("source", "placed", handler_type=BROADCAST)
    def handle(self, payload): ...


class Insistent:
    name = "insistent"
    dispatch = EventDispatcher(mandatory=True)

    @timer(60)
    def tick(self): ...


class Patient:
    name = "patient"

    @event_handler("source", "placed", retry=Retry(3))
    def handle(self, payload): ...


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (Patient, r"retry of .*patient.handle> needs dead_lettering, expiry"),
        (Caller, r"an RPC proxy needs mandatory, confirms, expiry"),
        (Listener, r"listener.handle> needs exclusive"),
        (Insistent, r"insistent.dispatch> needs mandatory"),
    ],
)
def test_service_that_needs_more_than_its_transport_can_is_refused(folder_config, service, text):
    with pytest.raises(UnsupportedByTransport, match=text), run_services(folder_config, service):
        pass


def test_serializers_and_settings_come_from_the_configuration(config):
    more = {"ACCEPT": ["json", "msgpack"], "SERIALIZER": "msgpack", "HEARTBEAT": 7}
    with hosted({**config, **more}) as services:
        messaging = services.extension(Messaging)

        assert messaging.serialization.default.name == "msgpack"
        assert messaging.settings.heartbeat == 7
