"""The HTTP entrypoint: routes, results, requests, limits of a handler."""

import dataclasses
import datetime as dt
import decimal
import gzip
import io
import logging
import uuid

import pytest
from werkzeug.exceptions import Conflict, abort
from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.web.server import site_of
from rpcnode.http import HttpRequest, HttpRequestHandler, http
from rpcnode.httpd.memory import MemoryConnection
from rpcnode.testing import entrypoint_hook
from tests.hosting import wait_until


@dataclasses.dataclass
class Item:
    sku: str
    price: float


def service_of(method, *route, **options):
    """Return a service with one route, GET /it unless given."""
    route = route or ("GET", "/it")
    return type("Service", (), {"name": "service", "method": http(*route, **options)(method)})


def result_of(result):
    return service_of(lambda self, request: result)


@pytest.mark.parametrize(
    ("result", "status", "content_type", "body"),
    [
        ({"a": [1, None]}, 200, "application/json", b'{"a":[1,null]}'),
        ([1, 2], 200, "application/json", b"[1,2]"),
        (Item("plum", 1.5), 200, "application/json", b'{"sku":"plum","price":1.5}'),
        ("plüm", 200, "text/plain; charset=utf-8", "plüm".encode()),
        (b"\0\1", 200, "application/octet-stream", b"\0\1"),
        (None, 204, None, b""),
        ((201, {"id": 1}), 201, "application/json", b'{"id":1}'),
        ((404, None), 404, None, b""),
        ((200, {"Content-Type": "text/csv"}, "a,b"), 200, "text/csv", b"a,b"),
        (Response("it", 418, mimetype="text/html"), 418, "text/html; charset=utf-8", b"it"),
        ((304, "not sent"), 304, None, b""),
    ],
)
def test_result_makes_the_answer(host, result, status, content_type, body):
    session = host(result_of(result))

    response = session.get("/it")

    assert response.status_code == status
    assert response.headers["Content-Type"] == content_type
    assert response.content == body


def test_headers_of_a_result_are_sent_each(host):
    session = host(result_of((200, {"X-One": 1, "Set-Cookie": ["a=1", "b=2"]}, "it")))

    response = session.get("/it")

    assert response.headers["X-One"] == "1"
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert session.cookies == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "result", [object(), {1, 2}, (1, 2, 3, 4), ("200", "it"), (99, "it"), (200, ("a", "b"))]
)
def test_result_that_is_no_answer_is_the_workers_error(host, caplog, result):
    session = host(result_of(result))

    response = session.get("/it")

    assert response.status_code == 500
    assert "TypeError" in caplog.text


def test_value_that_json_does_not_have_is_the_workers_error(host):
    session = host(result_of({"a": float("nan")}))

    assert session.get("/it").status_code == 500


def test_value_that_contains_itself_is_the_workers_error(host, caplog):
    value = {"a": [{}]}
    value["a"].append(value)
    session = host(result_of(value))

    response = session.get("/it")

    assert response.status_code == 500
    assert "ValueError: Circular reference detected" in caplog.text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"a": dt.date(2026, 1, 2), "b": decimal.Decimal("1.50")},
            b'{"a":"2026-01-02","b":"1.50"}',
        ),
        ({1: "one", None: True, 1.5: []}, b'{"1":"one","null":true,"1.5":[]}'),
        (
            {"a": {2}, "b": uuid.UUID(int=1), "c": "\ud800 \u00fc"},
            b'{"a":[2],"b":"00000000-0000-0000-0000-000000000001","c":"\\ud800 \\u00fc"}',
        ),
        ([Item("plum", 1.5), {"a": (1, 2)}], b'[{"sku":"plum","price":1.5},{"a":[1,2]}]'),
    ],
    ids=["date and decimal", "keys", "set, UUID, half a character", "dataclass and tuple"],
)
def test_value_of_many_kinds_has_a_form_in_json(host, value, text):
    assert host(result_of(value)).get("/it").content == text


def test_header_that_would_split_the_answer_is_the_workers_error(host, caplog):
    session = host(result_of((200, {"X-Name": "a\r\nSet-Cookie: b"}, "it")))

    response = session.get("/it")

    assert response.status_code == 500
    assert "X-Name" in caplog.text


def test_values_of_the_url_are_arguments(host):
    def method(self, request, item_id, name):
        return {"item_id": item_id, "name": name}

    session = host(service_of(method, "GET", "/items/<int:item_id>/<name>"))

    assert session.get("/items/7/a%20b").json() == {"item_id": 7, "name": "a b"}
    assert session.get("/items/x/a").status_code == 404


def test_request_is_werkzeugs(host):
    def method(self, request):
        assert isinstance(request, HttpRequest)
        return {
            "args": request.args.getlist("a"),
            "path": request.path,
            "url": request.url,
            "method": request.method,
            "agent": request.user_agent.string,
            "cookie": request.cookies["c"],
            "address": request.remote_addr,
            "environ": request.environ["REQUEST_METHOD"],
        }

    session = host(service_of(method, "GET", "/it/ü"))

    seen = session.get("/it/ü?a=1&a=2", headers={"User-Agent": "me", "Cookie": "c=d"}).json()

    assert seen == {
        "args": ["1", "2"],
        "path": "/it/ü",
        "url": "http://localhost/it/ü?a=1&a=2",
        "method": "GET",
        "agent": "me",
        "cookie": "d",
        "address": "127.0.0.1",
        "environ": "GET",
    }


def test_json_of_a_request_is_read(host):
    session = host(service_of(lambda self, request: request.json, "POST", "/it"))

    assert session.post("/it", json={"a": "ü"}).json() == {"a": "ü"}
    again = session.post("/it", data=b"[1]", headers={"Content-Type": "application/json; a=b"})
    assert again.json() == [1]


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"9" * 10_000, "application/json", 400),
        (b"{}", "text/plain", 415),
    ],
)
def test_json_that_cannot_be_read_is_the_clients_fault(host, data, content_type, status):
    session = host(service_of(lambda self, request: request.json, "POST", "/it"))

    response = session.post("/it", data=data, headers={"Content-Type": content_type})

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_form_and_files_of_a_request_are_read(host):
    def method(self, request):
        upload = request.files["file"]
        return {"name": request.form["name"], "file": upload.filename, "size": len(upload.read())}

    session = host(service_of(method, "POST", "/it"))

    file = io.BytesIO(b"x" * 700_000)  # more than is kept in memory
    response = session.post("/it", {"name": "n"}, files={"file": (file, "a.bin")})

    assert response.json() == {"name": "n", "file": "a.bin", "size": 700_000}


def test_body_above_the_limit_of_the_route_is_refused_before_a_worker_runs(host):
    calls = []
    session = host(service_of(lambda self, request: calls.append(1), "POST", "/it", max_body="1KB"))

    too_large = session.post("/it", data=b"x" * 1001)
    fitting = session.post("/it", data=b"x" * 1000)

    assert (too_large.status_code, fitting.status_code) == (413, 204)
    assert calls == [1]


def test_limit_of_the_route_is_that_of_a_body_in_chunks_that_comes_at_once(host):
    session = host(service_of(lambda self, request: request.get_data(), "POST", "/it", max_body=10))
    connection = connect(session)

    connection.feed(b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.feed(b"b\r\naaaaaaaaaaa\r\n0\r\n\r\n")
    apart = connection.wait()
    other = connect(session)
    head = b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    other.feed(head + b"b\r\naaaaaaaaaaa\r\n0\r\n\r\n")
    at_once = other.wait()

    assert apart.startswith(b"HTTP/1.1 413")
    assert at_once.startswith(b"HTTP/1.1 413")


def test_limit_of_the_configuration_is_that_of_routes_without_their_own(host):
    session = host(service_of(lambda self, request: None, "POST", "/it"), HTTP_MAX_BODY=10)

    assert session.post("/it", data=b"x" * 11).status_code == 413


def test_several_methods_share_a_route(host):
    session = host(service_of(lambda self, request: request.method, "GET, POST", "/it"))

    assert session.get("/it").text == "GET"
    assert session.post("/it").text == "POST"
    assert session.delete("/it").status_code == 405


def test_static_and_class_methods_of_a_stack_of_decorators_are_hosted(host):
    class Service:
        name = "service"

        @http("GET", "/one")
        @http("GET", "/two")
        @staticmethod
        def method(request):
            return request.path

    session = host(Service)

    assert [session.get(path).text for path in ("/one", "/two")] == ["/one", "/two"]


def test_worker_has_its_dependencies_and_is_torn_down(host):
    life = []

    class Noted(DependencyProvider):
        def get_dependency(self, worker_ctx):
            return "injected"

        def worker_result(self, worker_ctx, result=None, exc_info=None):
            life.append(result)

        def worker_teardown(self, worker_ctx):
            life.append("torn down")

    class Service:
        name = "service"
        noted = Noted()

        @http("GET", "/it")
        def method(self, request):
            return self.noted

    session = host(Service)

    assert session.get("/it").text == "injected"
    wait_until(lambda: life == ["injected", "torn down"])


def test_error_in_worker_complete_is_the_answer(host):
    class Failing(DependencyProvider):
        def worker_complete(self, worker_ctx, result=None, exc_info=None):
            raise Conflict("it was changed meanwhile")

    class Service:
        name = "service"
        failing = Failing()

        @http("GET", "/it")
        def method(self, request):
            return "never sent"

    response = host(Service).get("/it")

    assert response.status_code == 409
    assert response.json()["detail"] == "it was changed meanwhile"


def test_result_of_a_method_is_what_a_hook_gets(host):
    session = host(service_of(lambda self, request: {"a": request}))

    with entrypoint_hook(session.container, "method") as method:
        assert method("anything") == {"a": "anything"}


def test_deadline_of_the_route_ends_the_method(host):
    ended = []

    def method(self, request):
        try:
            Event().wait()
        finally:
            ended.append(1)

    session = host(service_of(method, timeout=0.02))

    response = session.get("/it")

    assert response.status_code == 504
    assert ended == [1]


def test_deadline_of_the_configuration_is_that_of_routes_without_their_own(host):
    session = host(service_of(lambda self, request: Event().wait()), HTTP_TIMEOUT=0.02)

    assert session.get("/it").status_code == 504


def test_request_that_waits_for_a_worker_too_long_is_not_run(host):
    calls, end = [], Event()

    class Service:
        name = "service"

        @http("GET", "/slow")
        def slow(self, request):
            end.wait()

        @http("GET", "/quick", timeout=0.02)
        def quick(self, request):
            calls.append(1)

    session = host(Service, MAX_WORKERS=1)
    slow, quick = spawn(session.get, "/slow"), spawn(session.get, "/quick")
    lane = session.container.default_lane
    wait_until(lambda: lane.pending == 1)
    sleep(0.03)
    end.set()

    assert quick.wait().status_code == 503
    assert slow.wait().status_code == 204
    assert calls == []


def test_full_queue_is_answered_with_503(host):
    end = Event()
    session = host(
        service_of(lambda self, request: end.wait() and None), MAX_WORKERS=1, HTTP_QUEUE_LIMIT=2
    )
    waiting = [spawn(session.get, "/it") for _ in range(3)]
    wait_until(lambda: session.container.default_lane.pending == 2)

    refused = session.get("/it")
    end.set()

    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert [each.wait().status_code for each in waiting] == [204, 204, 204]


def test_route_with_workers_of_its_own_is_not_held_up(host):
    end = Event()

    class Service:
        name = "service"

        @http("GET", "/slow")
        def slow(self, request):
            end.wait()

        @http("GET", "/quick", max_workers=1)
        def quick(self, request):
            return "quick"

    session = host(Service, MAX_WORKERS=1)
    slow = spawn(session.get, "/slow")
    wait_until(lambda: session.container.default_lane.running)

    assert session.get("/quick").text == "quick"
    end.set()
    assert slow.wait().status_code == 204


def test_killed_worker_is_answered_all_the_same(host):
    begun = []

    def method(self, request):
        begun.append(1)
        Event().wait()

    session = host(service_of(method))
    waiting = spawn(session.get, "/it")
    wait_until(lambda: begun)

    session.container.kill()

    assert waiting.wait().status_code == 503


@pytest.mark.parametrize(
    ("route", "options", "message"),
    [
        (("GET", "/<int:item_id"), {}, "no rule for URLs"),
        (("GET", "/<nothing:item_id>"), {}, "no rule for URLs"),
        (("GET", "it"), {}, "no rule for URLs"),
        (("", "/it"), {}, "no HTTP method"),
        (("GET", "/it"), {"max_body": "much"}, "max_body must be a size"),
        (("GET", "/it"), {"timeout": 0}, "timeout must be a positive"),
        (("GET", "/it"), {"speed": 1}, "knows no option 'speed'"),
        (("GET", "/it"), {"cors": 5}, "cors must be"),
    ],
)
def test_declaration_that_cannot_work_is_an_error(route, options, message):
    with pytest.raises(ConfigurationError, match=message):
        http(*route, **options)(lambda self, request: None)


def test_method_that_does_not_take_the_values_of_its_url_is_an_error_at_start(host):
    with pytest.raises(ConfigurationError, match=r"write `def method\(self, request, item_id\)`"):
        host(service_of(lambda self, request: None, "GET", "/items/<item_id>"))


def test_request_errors_are_not_logged_as_failures_of_the_service(host, caplog):
    session = host(service_of(lambda self, request: abort(403)))

    with caplog.at_level(logging.INFO, "rpcnode.workers"):
        response = session.get("/it")

    assert response.status_code == 403
    assert caplog.text == ""


class Upper(HttpRequestHandler):
    """Overrides what Nameko's users override."""

    def get_entrypoint_parameters(self, request):
        return (request.args["a"],), {}

    def response_from_result(self, result):
        return Response(result.upper(), mimetype="text/plain")

    def response_from_exception(self, exc):
        return Response(f"sorry: {exc!r}", status=418)


def test_overrides_of_a_handler_are_used(host):
    class Service:
        name = "service"

        @Upper.decorator("GET", "/it")
        def method(self, a):
            return {"x": "fine"}[a]

    session = host(Service)

    fine, sorry, wrong = (session.get(f"/it?a={a}") for a in ("x", "y", ""))

    assert fine.text == "FINE"
    assert (sorry.status_code, sorry.text) == (418, "sorry: KeyError('y')")
    assert wrong.status_code == 418
    assert session.get("/it").status_code == 418


class Guarded(HttpRequestHandler):
    """Looks at a request before a worker runs, and at its answer."""

    def handle_request(self, request):
        if "x-token" not in request.headers:
            return Response("who are you?", status=401)
        response = super().handle_request(request)
        response.headers["X-Seen"] = "yes"
        return response


def test_handle_request_can_be_wrapped(host):
    class Service:
        name = "service"

        @Guarded.decorator("POST", "/it")
        def method(self, request):
            return request.json

        @Guarded.decorator("GET", "/feed")
        def feed(self, request):
            yield from ("a", "b")

    session = host(Service, MAX_WORKERS=1)

    refused = session.post("/it", json={})
    answered = session.post("/it", json={"a": 1}, headers={"X-Token": "t"})
    streamed = session.get("/feed", headers={"X-Token": "t"})

    assert refused.status_code == 401
    assert (answered.json(), answered.headers["X-Seen"]) == ({"a": 1}, "yes")
    assert (streamed.text, streamed.headers["X-Seen"]) == ("ab", "yes")


def test_resource_is_a_group_of_methods_for_one_url(host):
    class Service:
        name = "service"
        shelf = {"plum": 1}

        @http.resource("/items/<sku>", errors={KeyError: 404})
        class Items:
            def get(self, request, sku):
                return {"stock": self.shelf[sku]}

            def put(self, request, sku):
                self.shelf[sku] = request.json
                return 201, None

            def delete(self, request, sku):
                del self.shelf[sku]

    session = host(Service)

    assert session.put("/items/pear", json=5).status_code == 201
    assert session.get("/items/pear").json() == {"stock": 5}
    assert session.delete("/items/pear").status_code == 204
    assert session.get("/items/pear").status_code == 404
    assert session.options("/items/pear").headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    with entrypoint_hook(session.container, "items_get") as items_get:
        assert items_get(None, "plum") == {"stock": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [({"find": lambda self: 1}, "named after HTTP's"), ({}, "has no method such as `get`")],
)
def test_resource_that_cannot_work_is_an_error(body, message):
    with pytest.raises(ConfigurationError, match=message):
        http.resource("/items")(type("items", (), body))


def test_answer_through_handle_request_is_finished_once(host):
    class Service:
        name = "service"

        @Guarded.decorator("GET", "/it", cors=True, gzip=True)
        def method(self, request):
            return "plum " * 1000

    headers = {"X-Token": "t", "Origin": "https://shop.example", "Accept-Encoding": "gzip"}
    response = host(Service).get("/it", headers=headers)

    assert response.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert response.headers.get_all("Content-Encoding") == ["gzip"]
    assert gzip.decompress(response.content) == b"plum " * 1000


def test_kill_while_handle_request_waits_is_answered(host):
    begun = []

    class Waiting(HttpRequestHandler):
        def handle_request(self, request):
            begun.append(1)
            return Event().wait()

    class Service:
        name = "service"

        @Waiting.decorator("GET", "/it")
        def method(self, request): ...

    session = host(Service)
    asked = spawn(session.get, "/it")
    wait_until(lambda: begun)

    session.container.kill()

    assert asked.wait().status_code == 500


def test_request_whose_client_has_gone_before_its_turn_is_not_run(host):
    calls, end = [], Event()

    class Service:
        name = "service"

        @http("GET", "/slow")
        def slow(self, request):
            end.wait()

        @http("GET", "/it")
        def method(self, request):
            calls.append(1)

    session = host(Service, MAX_WORKERS=1)
    slow = spawn(session.get, "/slow")
    lane = session.container.default_lane
    wait_until(lambda: lane.running)
    connection = connect(session)
    connection.feed(b"GET /it HTTP/1.1\r\nHost: x\r\n\r\n")
    assert lane.pending == 1

    connection.vanish()
    end.set()

    assert slow.wait().status_code == 204
    wait_until(lambda: not lane.running)
    assert calls == []


def test_rule_of_the_handlers_own_making_is_used(host):
    class Anything(HttpRequestHandler):
        def get_url_rule(self):
            return Rule(f"/v1{self.url}")

    class Service:
        name = "service"

        @Anything.decorator("GET", "/it")
        def method(self, request):
            return request.method

    session = host(Service)

    assert [session.request(method, "/v1/it").text for method in ("GET", "PUT")] == ["GET", "PUT"]


def connect(session):
    site = site_of([session.container])
    return MemoryConnection(site.application, site.settings)


def test_body_that_arrives_slowly_holds_no_worker(host):
    class Service:
        name = "service"

        @http("POST", "/size")
        def size(self, request):
            return {"size": len(request.get_data())}

    session = host(Service, MAX_WORKERS=1)
    slow = [connect(session) for _ in range(3)]
    for connection in slow:
        connection.feed(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")

    quick = session.post("/size", data=b"abc")
    for connection in slow:
        connection.feed(b"cd")

    assert quick.json() == {"size": 3}
    assert [connection.wait()[-10:] for connection in slow] == [b'{"size":4}'] * 3


def test_body_that_arrives_slowly_holds_no_worker_of_a_wrapped_handler(host):
    class Service:
        name = "service"

        @Guarded.decorator("POST", "/size")
        def size(self, request):
            return {"size": len(request.get_data())}

    session = host(Service, MAX_WORKERS=1)
    connection = connect(session)
    head = b"POST /size HTTP/1.1\r\nHost: x\r\nX-Token: t\r\nContent-Length: 4\r\n\r\nab"
    connection.feed(head)

    quick = session.post("/size", data=b"abc", headers={"X-Token": "t"})
    connection.feed(b"cd")

    assert quick.json() == {"size": 3}
    assert connection.wait().endswith(b'{"size":4}')


def test_body_that_does_not_arrive_by_the_deadline_is_refused(host):
    calls = []
    session = host(service_of(lambda self, request: calls.append(1), "POST", "/it", timeout=0.02))
    connection = connect(session)
    connection.feed(b"POST /it HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")

    assert connection.wait().startswith(b"HTTP/1.1 408")
    assert calls == []


def test_stream_may_answer_a_body_that_is_still_sent(host):
    def feed(self, request):
        while line := request.stream.readline():
            yield line.upper()

    session = host(service_of(feed, "POST", "/it"))
    connection = connect(session)
    connection.feed(b"POST /it HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.feed(b"2\r\na\n\r\n")

    assert b"A\n" in connection.wait()
    connection.feed(b"2\r\nb\n\r\n0\r\n\r\n")
    assert b"B\n" in connection.wait()
