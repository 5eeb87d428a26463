"""What is asked for by option: pages of other origins, compression, context data."""

import gzip

import pytest
from werkzeug.exceptions import Unauthorized

from rpcnode.concurrency import Event
from rpcnode.contextdata import AuthToken, ContextDataProvider, Language
from rpcnode.exceptions import ConfigurationError, DeadlineExceeded
from rpcnode.http import Cors, HttpRequestHandler, StaticFiles, http
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing import entrypoint_waiter
from rpcnode.testing.http import HttpClient
from rpcnode.web.server import WebServer

SHOP = "https://shop.example"


def service_of(result, method="GET", **options):
    handler = http(method, "/it", **options)(lambda self, request: result)
    return type("Service", (), {"name": "service", "method": handler})


@pytest.mark.parametrize(
    ("cors", "origin", "allowed"),
    [
        (True, SHOP, "*"),
        (True, None, "*"),
        (SHOP, SHOP, SHOP),
        ([SHOP, "https://b.example"], SHOP, SHOP),
        (SHOP, "https://evil.example", None),
        (SHOP, None, None),
        (Cors([SHOP]), SHOP, SHOP),
        (False, SHOP, None),
        (None, SHOP, None),
    ],
)
def test_page_of_another_origin_is_allowed_by_option(host, cors, origin, allowed):
    session = host(service_of("it", cors=cors))

    response = session.get("/it", headers={} if origin is None else {"Origin": origin})

    assert response.headers["Access-Control-Allow-Origin"] == allowed
    assert (response.headers["Vary"] == "Origin") == (cors not in (True, False, None))


def test_answers_that_are_errors_can_be_seen_by_pages_too(host):
    session = host(service_of(object(), cors=SHOP, max_body=1))

    failed = session.get("/it", headers={"Origin": SHOP})
    refused = session.get("/it", headers={"Origin": SHOP}, data=b"xx")

    assert (failed.status_code, refused.status_code) == (500, 413)
    assert failed.headers["Access-Control-Allow-Origin"] == SHOP
    assert refused.headers["Access-Control-Allow-Origin"] == SHOP


def test_browser_that_asks_first_is_told_what_is_allowed(host):
    cors = Cors(SHOP, headers=["X-Token"], expose=["X-Total"], credentials=True, max_age=60)
    session = host(service_of("it", "PUT", cors=cors))
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "PUT"}

    answer = session.options("/it", headers=asked)
    response = session.put("/it", headers={"Origin": SHOP})

    assert answer.status_code == 204
    assert {name: value for name, value in answer.headers.items() if name.startswith("Access")} == {
        "Access-Control-Allow-Origin": SHOP,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "OPTIONS, PUT",
        "Access-Control-Max-Age": "60",
        "Access-Control-Allow-Headers": "X-Token",
    }
    assert response.headers["Access-Control-Expose-Headers"] == "X-Total"


def test_browser_that_asks_for_a_page_that_is_not_allowed_learns_nothing(host):
    session = host(service_of("it", "PUT", cors=SHOP))
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}

    answer = session.options("/it", headers=asked)

    assert not [name for name in answer.headers if name.startswith("Access")]


def test_cors_of_the_configuration_is_that_of_routes_without_their_own(host):
    session = host(service_of("it"), HTTP_CORS={"origins": SHOP})

    response = session.get("/it", headers={"Origin": SHOP})

    assert response.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/nowhere", 404),
        ("PUT", "/it", 405),
        ("GET", "/static/a.txt", 200),
        ("GET", "/static/nothing.txt", 404),
    ],
)
def test_cors_of_the_configuration_is_that_of_what_has_no_route(
    host, tmp_path, method, path, status
):
    (tmp_path / "a.txt").write_text("it", encoding="utf-8")
    service = service_of("it")
    service.static = StaticFiles("/static", tmp_path)
    session = host(service, HTTP_CORS={"origins": SHOP})
    asked = {"Origin": SHOP, "Access-Control-Request-Method": method}

    first, response = (
        session.options(path, headers=asked),
        session.request(method, path, headers={"Origin": SHOP}),
    )

    assert (first.status_code, response.status_code) == (204, status)
    assert first.headers.get_all("Access-Control-Allow-Origin") == [SHOP]
    assert response.headers.get_all("Access-Control-Allow-Origin") == [SHOP]


@pytest.mark.parametrize(
    ("cors", "message"),
    [
        ({"origins": "*", "credentials": True}, "need origins by name"),
        ({"origin": SHOP}, "knows no option 'origin'"),
        ([1], "origins must be texts"),
        (1.5, "must be true, origins"),
    ],
)
def test_cors_that_cannot_work_is_an_error(cors, message):
    with pytest.raises(ConfigurationError, match=message):
        service_of("it", cors=cors)


@pytest.mark.parametrize(
    ("accept", "is_compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
        ("xgzip", False),
        (None, False),
    ],
)
def test_answer_is_compressed_for_who_understands_it(host, accept, is_compressed):
    session = host(service_of({"text": "plum " * 1000}, gzip=True))

    response = session.get("/it", headers={} if accept is None else {"Accept-Encoding": accept})

    assert (response.headers["Content-Encoding"] == "gzip") == is_compressed
    body = gzip.decompress(response.content) if is_compressed else response.content
    assert body == b'{"text":"' + b"plum " * 1000 + b'"}'
    assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "result",
    [
        "short",
        b"x" * 5000,
        (200, {"Content-Encoding": "br", "Content-Type": "text/plain"}, b"x" * 5000),
        (200, {"Content-Type": "image/png"}, b"x" * 5000),
    ],
    ids=["short", "bytes", "encoded", "image"],
)
def test_answer_that_would_not_get_smaller_is_left_alone(host, result):
    session = host(service_of(result), HTTP_GZIP=True)

    response = session.get("/it", headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] != "gzip"
    assert "Vary" not in response.headers


def test_tag_of_a_compressed_answer_is_weak(host):
    session = host(service_of((200, {"ETag": '"a"'}, "plum " * 1000)), HTTP_GZIP=True)

    response = session.get("/it", headers={"Accept-Encoding": "gzip"})

    assert response.headers["ETag"] == 'W/"a"'


def test_route_may_be_left_uncompressed(host):
    session = host(service_of("plum " * 1000, gzip=False), HTTP_GZIP=True)

    response = session.get("/it", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in response.headers


class Inner:
    name = "inner"
    language = Language()
    token = AuthToken()
    trace = ContextDataProvider("trace")

    @rpc
    def seen(self):
        return [self.language, self.token, self.trace]


class Outer:
    name = "outer"
    inner = RpcProxy("inner")

    @http("GET", "/seen")
    def seen(self, request):
        return self.inner.seen()


CONTEXT = {
    "Accept-Language": "language",
    "authorization": "auth_token",
    "traceparent": "trace",
    "X-Missing": "missing",
}


@pytest.mark.parametrize(
    ("authorization", "token"),
    [("Bearer abc", "abc"), ("bearer abc ", "abc"), ("Basic abc", None), ("Bearer ", None)],
)
def test_headers_travel_on_with_calls(
    runner_factory, memory_config, web_config, authorization, token
):
    config = {**memory_config, **web_config, "HTTP_CONTEXT_HEADERS": CONTEXT}
    runner = runner_factory(config, Inner, Outer)
    runner.start()
    headers = {"Accept-Language": "de", "Authorization": authorization, "traceparent": "00-1"}

    response = HttpClient(runner).get("/seen", headers=headers)

    assert response.json() == ["de", token, "00-1"]


def test_deadline_of_a_route_is_that_of_the_calls_in_it(runner_factory, memory_config, web_config):
    class Slow:
        name = "slow"

        @rpc
        def method(self):
            Event().wait()

    class Caller:
        name = "caller"
        slow = RpcProxy("slow")

        @http("GET", "/it", timeout=0.1)
        def method(self, request):
            return self.slow.method()

    runner = runner_factory({**memory_config, **web_config}, Slow, Caller)
    runner.start()

    with entrypoint_waiter(runner.service_map["slow"], "method", timeout=5) as called:
        response = HttpClient(runner).get("/it")

    assert response.status_code == 504
    with pytest.raises(DeadlineExceeded):
        called.get()


def test_headers_stay_outside_unless_asked_for(runner_factory, memory_config, web_config):
    runner = runner_factory({**memory_config, **web_config}, Inner, Outer)
    runner.start()
    headers = {"Accept-Language": "de", "nameko.language": "fr", "rpcnode.auth_token": "x"}

    response = HttpClient(runner).get("/seen", headers=headers)

    assert response.json() == [None, None, None]


@pytest.mark.parametrize("wanted", [{"X-A": "call_id_stack"}, {"X-A": ""}, {"X-A": 1}])
def test_context_that_is_not_the_clients_to_tell_is_refused(host, wanted):
    with pytest.raises(ConfigurationError, match="HTTP_CONTEXT_HEADERS"):
        host(service_of("it"), HTTP_CONTEXT_HEADERS=wanted)


def test_server_may_read_the_context_itself(host):
    class Server(WebServer):
        def context_data_from_headers(self, request):
            return {"language": request.headers["X-Language"]}

    class Handler(HttpRequestHandler):
        server = Server()

    class Service:
        name = "service"
        language = Language()

        @Handler.decorator("GET", "/it")
        def method(self, request):
            return self.language

    assert host(Service).get("/it", headers={"X-Language": "fr"}).text == "fr"


@pytest.mark.parametrize(("error", "status"), [(Unauthorized(), 401), (LookupError("it"), 500)])
def test_error_in_reading_the_context_is_answered(host, caplog, error, status):
    class Server(WebServer):
        def context_data_from_headers(self, request):
            raise error

    class Handler(HttpRequestHandler):
        server = Server()

    class Service:
        name = "service"

        @Handler.decorator("GET", "/it")
        def method(self, request): ...

    response = host(Service).get("/it")

    assert response.status_code == status
    assert ("LookupError" in caplog.text) == (status == 500)
