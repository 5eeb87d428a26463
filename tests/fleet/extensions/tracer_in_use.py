"""nameko-tracer in services: its archive has no tests, so these are ours."""

import logging
from datetime import datetime

import pytest
import requests
from kombu import Exchange, Queue
from mock import patch
from nameko.containers import WorkerContext
from nameko.events import EventHandler, event_handler
from nameko.messaging import Consumer, consume
from nameko.rpc import Rpc, rpc
from nameko.testing.services import dummy, entrypoint_hook, entrypoint_waiter
from nameko.testing.utils import DummyProvider, find_free_port, get_extension
from nameko.web.handlers import HttpRequestHandler, http
from nameko_tracer import Tracer, adapters, constants
from nameko_tracer.formatters import JSONFormatter
from werkzeug.wrappers import Response


class Refused(Exception):
    """Raised by the service."""


class Service:
    name = "service"
    tracer = Tracer()

    @dummy
    def works(self, value, other=None):
        return {"value": value}

    @dummy(expected_exceptions=Refused)
    def refuses(self):
        raise Refused("no pears", 3)

    @dummy(sensitive_arguments=("secret", "data.password"))
    def hides(self, secret, data):
        return "done"

    @http("POST", "/pears/<int:count>")
    def pears(self, request, count):
        return Response(f"{count} pears", mimetype="text/plain")


@pytest.fixture
def records():
    """What the tracer logs."""
    logger = logging.getLogger(constants.LOGGER_NAME)
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    found = []
    handler.emit = found.append
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.fixture
def port():
    return find_free_port()


@pytest.fixture
def container(container_factory, port):
    container = container_factory(Service, {"WEB_SERVER_ADDRESS": f"127.0.0.1:{port}"})
    container.start()
    return container


def traces(records):
    return [getattr(record, constants.TRACE_KEY) for record in records]


def test_call_is_traced_before_and_after(container, records):
    with entrypoint_hook(container, "works", context_data={"language": "fr"}) as works:
        works("pear")

    before, after = traces(records)
    assert [record.levelno for record in records] == [logging.INFO] * 2
    assert (before["stage"], after["stage"]) == ("request", "response")
    assert (before["service"], before["entrypoint_name"]) == ("service", "works")
    assert before["entrypoint_type"] == "Entrypoint"
    assert before["call_args"] == {"value": "pear", "other": None}
    assert before["call_args_redacted"] is False
    assert before["context_data"]["language"] == "fr"
    assert before["call_id"].startswith("service.works.")
    assert before["call_id_stack"] == [before["call_id"]]
    assert before["origin_call_id"] in (None, before["call_id"])  # Nameko's, and rpcnode's
    assert (after["response"], after["response_status"]) == ({"value": "pear"}, "success")
    assert after["response_time"] >= 0
    assert after["call_id"] == before["call_id"]


def test_failure_is_traced_as_a_warning(container, records):
    with entrypoint_hook(container, "refuses") as refuses:
        with pytest.raises(Refused):
            refuses()

    _, after = traces(records)
    assert records[1].levelno == logging.WARNING
    assert after["response_status"] == "error"
    assert after["exception_type"] == "Refused"
    assert after["exception_path"].endswith(".Refused")
    assert after["exception_args"] == ["no pears", 3]
    assert after["exception_expected"] is True
    assert "Refused: ('no pears', 3)" in after["exception_traceback"]


def test_sensitive_arguments_are_redacted(container, records):
    with entrypoint_hook(container, "hides") as hides:
        hides("abc", {"password": "xyz", "user": "me"})

    before, _ = traces(records)
    assert before["call_args"] == {
        "secret": "********",
        "data": {"password": "********", "user": "me"},
    }
    assert before["call_args_redacted"] is True


def test_http_request_and_response_are_traced(container, records, port):
    with entrypoint_waiter(container, "pears"):
        requests.post(f"http://127.0.0.1:{port}/pears/3?ripe=1", data="ripe", headers={"X-A": "b"})

    before, after = traces(records)
    assert before["entrypoint_type"] == "HttpRequestHandler"
    assert before["call_args"]["count"] == 3
    request = before["call_args"]["request"]
    assert request["url"] == f"http://127.0.0.1:{port}/pears/3?ripe=1"
    assert (request["method"], request["data"]) == ("POST", "ripe")
    assert request["headers"]["x_a"] == "b"
    assert request["env"]["server_port"] == str(port)
    assert after["response"] == {
        "content_type": "text/plain; charset=utf-8",
        "data": b"3 pears",
        "status_code": 200,
        "content_length": 7,
    }


def test_failing_adapter_leaves_the_call_alone(container, records):
    with patch.object(adapters.DefaultAdapter, "info", side_effect=ValueError("no adapter")):
        with entrypoint_hook(container, "works") as works:
            assert works("pear") == {"value": "pear"}

    assert [record.msg for record in records] == ["Failed to log entrypoint trace"] * 2


def test_trace_can_be_formatted(container, records):
    with entrypoint_hook(container, "works") as works:
        works("pear")

    assert '"call_id": "service.works.' in JSONFormatter().format(records[0])


class Custom(adapters.DefaultAdapter):
    """An adapter that the configuration names."""


def test_adapter_is_chosen_by_the_type_of_the_entrypoint(mock_container):
    mock_container.service_name = "service"
    mock_container.config = {
        constants.CONFIG_KEY: {
            constants.ADAPTERS_CONFIG_KEY: {
                "nameko.testing.utils.DummyProvider": f"{__name__}.Custom"
            }
        }
    }
    tracer = Tracer().bind(mock_container, "tracer")
    tracer.setup()
    contexts = [
        WorkerContext(mock_container, None, DummyProvider()),
        WorkerContext(mock_container, None, HttpRequestHandler("GET", "/")),
        WorkerContext(mock_container, None, Rpc()),
    ]

    chosen = [type(tracer.adapter_factory(each)) for each in contexts]

    assert chosen == [Custom, adapters.HttpRequestHandlerAdapter, adapters.DefaultAdapter]


@pytest.mark.parametrize("entrypoint_class", [Rpc, EventHandler, Consumer])
def test_entrypoints_of_messages_are_traced(container_factory, records, entrypoint_class):
    class Listener:
        name = "listener"

        @rpc
        def rpc(self, payload): ...

        @event_handler("shop", "opened")
        def event(self, payload): ...

        @consume(Queue("listener", exchange=Exchange("shop"), routing_key="all"))
        def message(self, payload): ...

    container = container_factory(Listener, {"AMQP_URI": "memory://"})
    method_names = {Rpc: "rpc", EventHandler: "event", Consumer: "message"}
    entrypoint = get_extension(
        container, entrypoint_class, method_name=method_names[entrypoint_class]
    )
    context = WorkerContext(container, Listener(), entrypoint, args=("pear",))
    adapter = adapters.DefaultAdapter(
        logging.getLogger(constants.LOGGER_NAME), {"hostname": "here"}
    )

    adapter.info(
        "traced",
        extra={
            "stage": constants.Stage.response,
            "worker_ctx": context,
            "result": {"some": "data"},
            "exc_info_": None,
            "timestamp": datetime(2017, 7, 7, 12),
            "response_time": 60.0,
        },
    )

    (trace,) = traces(records)
    assert trace["entrypoint_type"] == entrypoint_class.__name__
    assert trace["call_args"] == {"payload": "pear"}
    assert trace["response"] == {"some": "data"}
