"""Exceptions, and the answers that they make."""

import pytest
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import NotFound, Unauthorized, abort
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    IncorrectSignature,
    MethodNotFound,
    RemoteError,
    RpcTimeout,
    TooBusy,
    UnknownService,
)
from rpcnode.http import HttpRequestHandler, http


class OutOfStock(Exception):
    """Nothing is left."""


class SoldOut(OutOfStock):
    """And nothing will come."""


def raising(error, **options):
    def method(self, request):
        raise error

    return type("Service", (), {"name": "service", "method": http("GET", "/it", **options)(method)})


def test_text_of_an_unexpected_exception_is_never_shown(host):
    response = host(raising(ValueError("the password is plum"))).get("/it")

    assert response.status_code == 500
    assert response.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownService("stock"), 502),
        (MethodNotFound("stock.get"), 502),
        (ConnectionLost("gone"), 502),
        (RpcTimeout("stock.get"), 504),
        (TooBusy("stock"), 503),
        (BrokerUnavailable("away"), 503),
        (IncorrectSignature("stock.get: missing sku"), 400),
        (RemoteError("KeyError", "sku"), 500),
        (SystemExit(), 500),
    ],
)
def test_failed_call_has_a_status_and_tells_nothing_more(host, error, status):
    response = host(raising(error)).get("/it")

    assert response.status_code == status
    assert set(response.json()) == {"type", "title", "status"}
    assert (response.headers["Retry-After"] == "1") == (status == 503)


def test_expected_exception_is_the_clients_fault_and_told(host):
    response = host(raising(SoldOut("no plums"), expected_exceptions=OutOfStock)).get("/it")

    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "no plums",
    }


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        ({OutOfStock: 409}, 409),
        ({OutOfStock: 409, SoldOut: 410}, 410),
        ({OutOfStock: 507}, 507),
        ({KeyError: 409}, 400),
    ],
)
def test_exceptions_are_mapped_to_statuses(host, errors, status):
    service = raising(SoldOut("no plums"), expected_exceptions=OutOfStock, errors=errors)

    response = host(service).get("/it")

    assert response.status_code == status
    assert response.json().get("detail") == ("no plums" if status < 500 else None)


def test_remote_error_is_mapped_by_the_name_of_its_class(host):
    service = raising(RemoteError("OutOfStock", "no plums"), errors={"OutOfStock": 409})

    response = host(service).get("/it")

    assert response.status_code == 409
    assert response.json()["detail"] == "no plums"


def test_subclass_of_the_handler_maps_for_all_its_routes(host):
    class Handler(HttpRequestHandler):
        errors = {OutOfStock: 409}

    class Service:
        name = "service"

        @Handler.decorator("GET", "/it")
        def method(self, request):
            raise OutOfStock("no plums")

    assert host(Service).get("/it").status_code == 409


def test_exception_of_werkzeug_is_itself(host):
    error = Unauthorized("who are you?", www_authenticate=WWWAuthenticate("bearer"))

    response = host(raising(error, expected_exceptions=Exception)).get("/it")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json()["detail"] == "who are you?"


def test_response_in_an_exception_is_sent_as_it_is(host):
    def method(self, request):
        abort(Response("teapot", 418))

    service = type("Service", (), {"name": "service", "method": http("GET", "/it")(method)})

    response = host(service).get("/it")

    assert (response.status_code, response.text) == (418, "teapot")


def test_redirect_in_an_exception_is_sent(host):
    response = host(raising(RequestRedirect("/other"))).get("/it")

    assert (response.status_code, response.headers["Location"]) == (308, "/other")


@pytest.mark.parametrize(
    ("accept", "is_text"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/problem+json", False),
        ("text/plain", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("text/plain;q=0.5, application/json", False),
        ("image/png", False),
    ],
)
def test_client_that_prefers_text_gets_text(host, accept, is_text):
    headers = {} if accept is None else {"Accept": accept}

    response = host(raising(NotFound("no plums"))).get("/it", headers=headers)

    kind = "text/plain; charset=utf-8" if is_text else "application/problem+json"
    assert response.headers["Content-Type"] == kind
    if is_text:
        assert response.text == "404 Not Found: no plums\n"
