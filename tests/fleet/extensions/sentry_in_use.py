"""nameko-sentry in services: its archive has no tests, so these are ours."""

import json
import zlib

import pytest
import requests
from mock import Mock
from nameko.contextdata import UserId
from nameko.events import event_handler
from nameko.rpc import rpc
from nameko.testing.services import dummy, entrypoint_hook, entrypoint_waiter
from nameko.testing.utils import find_free_port, get_extension
from nameko.web.handlers import http
from nameko_sentry import SentryReporter
from raven.transport.eventlet import EventletHTTPTransport


class Refused(Exception):
    """Raised by the service; it is an expected one where the entrypoint says so."""


class Service:
    name = "service"
    sentry = SentryReporter()
    user_id = UserId()

    @dummy
    def works(self, value):
        return value

    @dummy
    def breaks(self):
        raise Refused("no pears")

    @dummy(expected_exceptions=Refused)
    def refuses(self):
        raise Refused("no pears")

    @dummy
    def reports(self):
        self.sentry.captureMessage("by hand")

    @rpc
    @event_handler("shop", "opened")
    def unused(self, payload=None):
        pass


class Stub:
    """Takes what is reported, as a Sentry server does."""

    name = "stub"
    reports = []

    @http("POST", "/api/1/store/")
    def store(self, request):
        self.reports.append(json.loads(zlib.decompress(request.get_data())))
        return 200, "OK"


@pytest.fixture
def config():
    return {
        "AMQP_URI": "memory://",  # nothing here is started that would connect
        "SENTRY": {"DSN": f"eventlet+http://user:pass@127.0.0.1:{find_free_port()}/1"},
    }


@pytest.fixture
def stub(container_factory, config):
    """A Sentry server."""
    Stub.reports.clear()
    address = config["SENTRY"]["DSN"].rpartition("@")[2].partition("/")[0]
    container = container_factory(Stub, {"WEB_SERVER_ADDRESS": address})
    container.start()
    return container


@pytest.fixture
def container(container_factory, config):
    """The service, whose entrypoints are fired by hand."""
    return start(container_factory, config)


def start(container_factory, config):
    only = type("Only", (Service,), {"unused": None})
    container = container_factory(only, config)
    container.start()
    return container


def reported(stub, container, method, **context_data):
    """Fire a method; return what arrived at the server."""
    with entrypoint_waiter(stub, "store"):
        with entrypoint_hook(container, method, context_data=context_data) as fire:
            with pytest.raises(Refused):
                fire()
    return Stub.reports


def test_client_is_the_configured_one(container):
    client = get_extension(container, SentryReporter).client

    assert client.is_enabled()
    assert isinstance(client.remote.get_transport(), EventletHTTPTransport)


def test_error_is_reported_with_where_it_happened(stub, container):
    (report,) = reported(stub, container, "breaks")

    assert report["logger"] == "service.breaks"
    assert report["level"] == 40
    assert "Refused 'no pears'" in report["message"]
    assert report["tags"]["service_name"] == "service"
    assert report["tags"]["method_name"] == "breaks"
    assert report["tags"]["call_id"].startswith("service.breaks.")
    assert report["exception"]["values"][0]["type"] == "Refused"


def test_expected_error_is_reported_as_a_warning(stub, container):
    (report,) = reported(stub, container, "refuses")

    assert report["level"] == 30


def test_context_data_is_reported_and_the_user_known(stub, container):
    (report,) = reported(stub, container, "breaks", user_id=7, email="a@example.com", language="fr")

    assert report["user"] == {"user_id": 7, "email": "a@example.com"}
    assert report["extra"]["language"] in ("fr", "'fr'")


def test_expected_errors_can_be_left_out(stub, container_factory, config):
    config["SENTRY"]["REPORT_EXPECTED_EXCEPTIONS"] = False
    container = start(container_factory, config)

    with entrypoint_hook(container, "refuses") as refuses:
        with pytest.raises(Refused):
            refuses()
    reports = reported(stub, container, "breaks")

    assert [report["logger"] for report in reports] == ["service.breaks"]


def test_success_is_not_reported(container):
    client = get_extension(container, SentryReporter).client
    client.captureException = Mock()

    with entrypoint_hook(container, "works") as works:
        assert works("pear") == "pear"

    assert client.captureException.call_count == 0


def test_service_can_report_by_hand(stub, container):
    with entrypoint_waiter(stub, "store"):
        with entrypoint_hook(container, "reports") as reports:
            reports()

    assert Stub.reports[0]["message"] == "by hand"


def test_nothing_is_reported_without_a_server(container_factory, config):
    config["SENTRY"]["DSN"] = None
    container = start(container_factory, config)

    with entrypoint_hook(container, "breaks") as breaks:
        with pytest.raises(Refused):
            breaks()

    assert not get_extension(container, SentryReporter).client.is_enabled()


def test_request_of_an_http_entrypoint_is_reported(stub, container_factory, config):
    class Web:
        name = "web"
        sentry = SentryReporter()

        @http("POST", "/pears/<int:count>")
        def pears(self, request, count):
            raise Refused(count)

    port = find_free_port()
    web = container_factory(Web, {**config, "WEB_SERVER_ADDRESS": f"127.0.0.1:{port}"})
    web.start()

    with entrypoint_waiter(stub, "store"):
        answer = requests.post(f"http://127.0.0.1:{port}/pears/3?ripe=1", data={"a": "b"})

    assert answer.status_code == 500
    (report,) = Stub.reports
    assert report["request"]["url"] == f"http://127.0.0.1:{port}/pears/3"
    assert report["request"]["method"] == "POST"
    assert report["request"]["query_string"] == "ripe=1"
