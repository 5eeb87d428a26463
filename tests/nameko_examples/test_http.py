"""What Nameko's pages show of HTTP: routes, statuses, responses, and errors of one's own."""

import json

import pytest
from werkzeug.wrappers import Response

from rpcnode.rpc import RpcProxy, rpc
from rpcnode.web.handlers import HttpRequestHandler, http


class Library:
    name = "library"

    @http("GET", "/books/<int:number>")
    def book(self, request, number):
        return json.dumps({"number": number, "lang": request.args.get("lang", "en")})

    @http("POST", "/books")
    def add(self, request):
        return f"added {request.get_data(as_text=True)}"

    @http("GET,PUT,DELETE", "/shelf")
    def shelf(self, request):
        return request.method

    @http("GET", "/teapot")
    def teapot(self, request):
        return 418, "short and stout"

    @http("POST", "/shelf/books")
    def put_back(self, request):
        return 201, {"X-Shelf": "3"}, "there it stands"

    @http("GET", "/page")
    def page(self, request):
        return Response("<p>books</p>", mimetype="text/html")

    @http("GET", "/burn")
    def burn(self, request):
        raise RuntimeError("the shelves are on fire")


@pytest.fixture
def library(container_factory, web_config):
    container_factory(Library, web_config).start()


def test_routes_take_values_methods_and_bodies(library, web_session):
    book = web_session.get("/books/7?lang=fr")
    added = web_session.post("/books", data="Emma")
    methods = [web_session.request(each, "/shelf").text for each in ("GET", "PUT", "DELETE")]

    assert (book.status_code, book.json()) == (200, {"number": 7, "lang": "fr"})
    assert added.text == "added Emma"
    assert methods == ["GET", "PUT", "DELETE"]
    assert web_session.post("/shelf").status_code == 405
    assert web_session.get("/books/seven").status_code == 404


def test_method_returns_a_status_headers_or_a_response(library, web_session):
    teapot, page = web_session.get("/teapot"), web_session.get("/page")
    put_back = web_session.post("/shelf/books")

    assert (teapot.status_code, teapot.text) == (418, "short and stout")
    assert (put_back.status_code, put_back.headers["X-Shelf"]) == (201, "3")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"


def test_error_that_was_not_expected_is_a_500_without_its_text(library, web_session):
    response = web_session.get("/burn")

    assert response.status_code == 500
    assert "fire" not in response.text


class InvalidArguments(Exception):
    """Raised when a request cannot be carried out; its code is for programs."""

    code = "invalid_arguments"


class HttpEntrypoint(HttpRequestHandler):
    """Answers errors with JSON of one's own."""

    statuses_by_type = {InvalidArguments: 422}

    def response_from_exception(self, exc):
        status = self.statuses_by_type.get(type(exc))
        if status is None:
            return super().response_from_exception(exc)
        body = json.dumps({"error": exc.code, "message": str(exc)})
        return Response(body, status=status, mimetype="application/json")


own_http = HttpEntrypoint.decorator


class Strict:
    name = "strict"

    @own_http("GET", "/custom", expected_exceptions=(InvalidArguments,))
    def custom(self, request):
        raise InvalidArguments("no argument will do")

    @own_http("GET", "/usual", expected_exceptions=(ValueError,))
    def usual(self, request):
        raise ValueError("not this one")


def test_entrypoint_of_ones_own_answers_errors_in_its_way(
    container_factory, web_config, web_session
):
    container_factory(Strict, web_config).start()

    custom, usual = web_session.get("/custom"), web_session.get("/usual")

    assert custom.status_code == 422
    assert custom.json() == {"error": "invalid_arguments", "message": "no argument will do"}
    assert usual.status_code == 400


class Gateway:
    name = "gateway"
    prices = RpcProxy("prices")

    @http("GET", "/prices/<string:sku>")
    def price(self, request, sku):
        return json.dumps({"sku": sku, "price": self.prices.get(sku)})


class Prices:
    name = "prices"

    @rpc
    def get(self, sku):
        return len(sku)


def test_gateway_turns_requests_into_calls(runner_factory, memory_config, web_config, web_session):
    runner_factory({**memory_config, **web_config}, Gateway, Prices).start()

    response = web_session.get("/prices/plum")

    assert response.json() == {"sku": "plum", "price": 4}
