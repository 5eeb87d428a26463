"""The HTTP side of a process: its port, its WSGI applications, its health, its end."""

import logging
import socket
import ssl

import pytest
from werkzeug.wrappers import Request, Response

from rpcnode.concurrency import Event, kill, spawn
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions import DependencyProvider
from rpcnode.http import HttpRequestHandler, WsgiMount, http
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from rpcnode.testing.http import HttpClient
from rpcnode.testing.utils import find_free_port
from rpcnode.web.server import BindAddress, WebServer, WsgiApp, parse_address
from tests.certificates import Authority
from tests.hosting import wait_until


class Hello:
    name = "hello"

    @http("GET", "/hello")
    def hello(self, request):
        return "hello"


class Other:
    name = "other"

    @http("GET", "/other")
    def other(self, request):
        return "other"


def ask(port, path="/hello", *, closes=True):
    """Send a request over a socket; return the socket."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    closing = "Connection: close\r\n" if closes else ""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{closing}\r\n".encode())
    return connection


def answer(connection):
    """Return all that comes until the connection ends."""
    with connection:
        data = b""
        while part := connection.recv(65_536):
            data += part
        return data.decode("latin-1")


@pytest.fixture
def port():
    return find_free_port()


@pytest.fixture
def config(port):
    return {"WEB_SERVER_ADDRESS": f"127.0.0.1:{port}"}


def test_services_of_a_process_answer_at_one_port(config, port):
    with run_services(config, Hello, Other):
        answers = [answer(ask(port, path)) for path in ("/hello", "/other", "/nowhere")]

    assert [each.split()[1] for each in answers] == ["200", "200", "404"]
    assert answers[0].endswith("\r\n\r\nhello")


def test_service_without_http_opens_no_port(memory_config, config, port):
    class Service:
        name = "service"

        @rpc
        def method(self): ...

    with run_services({**memory_config, **config}, Service):
        with pytest.raises(ConnectionRefusedError):
            ask(port)


def test_port_in_use_is_an_error_at_start(config, port):
    with run_services(config, Hello):
        with pytest.raises(ConfigurationError, match=str(port)):
            with run_services(config, Other):
                pass

        assert answer(ask(port)).startswith("HTTP/1.1 200")


def test_address_that_is_none_is_an_error_at_start():
    with pytest.raises(ConfigurationError, match="'nonsense' is no address"):
        with run_services({"WEB_SERVER_ADDRESS": "nonsense"}, Hello):
            pass


def test_addresses_are_written_as_nameko_has_them():
    assert parse_address("127.0.0.1:8000") == BindAddress("127.0.0.1", 8000)
    assert parse_address("8000") == BindAddress("", 8000)


def test_https_is_spoken_by_configuration(config, port, tmp_path):
    authority = Authority(tmp_path, "authority")
    certificate = authority.issue("server")
    options = {"certfile": str(certificate.file), "keyfile": str(certificate.key)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)

    with run_services({**config, "WEB_SSL": options}, Hello):
        plain = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection = context.wrap_socket(plain, server_hostname="localhost")
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = answer(connection)

    assert text.endswith("hello")


def test_https_without_a_certificate_is_an_error_at_start(config):
    with pytest.raises(ConfigurationError, match="WEB_SSL: certfile is missing"):
        with run_services({**config, "WEB_SSL": {}}, Hello):
            pass


def test_what_was_accepted_is_answered_when_services_stop(config, port):
    end, begun = Event(), []

    class Slow:
        name = "slow"

        @http("GET", "/slow")
        def slow(self, request):
            begun.append(1)
            end.wait()
            return "slow"

    class Busy(Other):
        name = "busy"

    with run_services({**config, "MAX_WORKERS": 1}, Slow, Busy) as runner:
        asked = [ask(port, "/slow") for _ in range(3)]
        lane = runner.service_map["slow"].default_lane
        wait_until(lambda: lane.pending == 2)
        stopping = spawn(runner.stop)
        wait_until(lambda: is_refused(port))
        assert begun == [1]
        end.set()
        stopping.wait()

    assert [answer(each).split("\r\n\r\n")[1] for each in asked] == ["slow"] * 3


def is_refused(port):
    try:
        ask(port).close()
    except OSError:
        return True
    return False


def test_stop_ends_under_constant_load(config, port):
    statuses, is_over = set(), []

    def load():
        connection = ask(port, closes=False)
        connection.settimeout(5)
        while not is_over:
            data = connection.recv(65_536)
            if not data:
                return
            statuses.add(data.split()[1])
            connection.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")

    with run_services(config, Hello) as runner:
        loads = [spawn(load) for _ in range(10)]
        wait_until(lambda: statuses)
        stopping = spawn(runner.stop)
        wait_until(lambda: stopping.dead)
    is_over.append(1)
    for each in loads:
        kill(each)

    assert statuses == {b"200"}


def test_worker_that_runs_too_long_at_a_stop_is_killed_and_answered(config, port):
    class Endless:
        name = "endless"

        @http("GET", "/endless")
        def endless(self, request):
            Event().wait()

    with run_services({**config, "SHUTDOWN_TIMEOUT": 0.05}, Endless) as runner:
        asked = ask(port, "/endless")
        wait_until(lambda: runner.containers[0].default_lane.running)

    text = answer(asked)
    assert text == "" or text.startswith("HTTP/1.1 503")


def test_one_of_several_containers_that_stops_alone_takes_its_routes_along(config, port):
    with run_services(config, Hello, Other) as runner:
        runner.service_map["other"].stop()

        assert answer(ask(port, "/other")).startswith("HTTP/1.1 404")
        assert answer(ask(port)).startswith("HTTP/1.1 200")


def test_failing_start_gives_the_port_back(config, port):
    class Failing(DependencyProvider):
        def start(self):
            raise LookupError("it does not start")

    class Service(Hello):
        failing = Failing()

    with pytest.raises(LookupError):
        with run_services(config, Service):
            pass
    with run_services(config, Hello):
        assert answer(ask(port)).startswith("HTTP/1.1 200")


def test_health_is_answered(host):
    session = host(Hello)

    live, ready = session.get("/-/live"), session.get("/-/ready")

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    assert ready.headers["Cache-Control"] == "no-store"


def test_health_may_be_left_out_or_taken_over(host):
    class Service:
        name = "service"

        @http("GET", "/-/live")
        def live(self, request):
            return "mine"

    assert host(Hello, HTTP_HEALTH=False).get("/-/live").status_code == 404
    assert host(Service).get("/-/live").text == "mine"


def test_service_that_stops_is_not_ready_but_lives(host):
    end = Event()

    class Slow(Hello):
        @http("GET", "/slow")
        def slow(self, request):
            end.wait()

    session = host(Slow)
    slow = spawn(session.get, "/slow")
    wait_until(lambda: session.container.default_lane.running)
    stopping = spawn(session.container.stop)
    wait_until(lambda: session.container.is_stopping)

    ready, live = session.get("/-/ready"), session.get("/-/live")
    end.set()
    stopping.wait()
    slow.wait()

    assert (ready.status_code, live.status_code) == (503, 200)
    assert ready.json() == {"status": "not ready", "problems": ["hello is stopping"]}


def test_service_without_its_broker_is_not_ready(container_factory, memory_config, web_config):
    class Service(Hello):
        @rpc
        def method(self): ...

    container = container_factory(Service, {**memory_config, **web_config})
    container.start()
    session = HttpClient(container)
    assert session.get("/-/ready").status_code == 200
    messaging = next(each for each in container.extensions if hasattr(each, "connection"))

    messaging.connection.close()

    wait_until(lambda: session.get("/-/ready").status_code == 503)
    assert session.get("/-/ready").json()["problems"] == [
        "hello: no connection to the broker",
        "hello: queue rpc-hello is not consumed",
    ]


def test_each_answer_is_a_line_in_the_access_log(host, caplog):
    session = host(Hello)

    with caplog.at_level(logging.INFO, "rpcnode.access"):
        session.get("/hello?token=secret")
        session.get("/nowhere%0d%0aforged")

    first, second = caplog.records
    assert "secret" not in first.getMessage()
    assert (first.method, first.path, first.status) == ("GET", "/hello", 200)
    assert (first.bytes_sent, first.remote_addr) == (5, "127.0.0.1")
    assert second.path == "/nowhere%0d%0aforged"


def test_access_log_may_be_left_out(host, caplog):
    session = host(Hello, HTTP_ACCESS_LOG=False)

    with caplog.at_level(logging.INFO, "rpcnode.access"):
        session.get("/hello")

    assert caplog.records == []


@Request.application
def application(request):
    """Answer with what a WSGI application sees."""
    if request.path == "/fail":
        raise LookupError("the password is plum")
    facts = [request.method, request.root_path, request.path, request.get_data(as_text=True)]
    return Response("|".join(facts), headers={"X-App": "old"})


class Mounted:
    name = "mounted"
    old = WsgiMount("/old", application)

    @http("GET", "/old/new")
    def new(self, request):
        return f"new, and {self.old is application}"


def test_wsgi_application_answers_below_its_path(host):
    session = host(Mounted)

    response = session.post("/old/a%20b/", data=b"body")

    assert (response.status_code, response.text) == (200, "POST|/old|/a b/|body")
    assert response.headers["X-App"] == "old"
    assert session.get("/old").text == "GET|/old|/|"
    assert session.options("/old/x").text == "OPTIONS|/old|/x|"
    assert session.get("/older").status_code == 404


def test_route_beats_a_mounted_application(host):
    assert host(Mounted).get("/old/new").text == "new, and True"


def test_mounted_application_that_fails_is_answered_with_500(host, caplog):
    response = host(Mounted).get("/old/fail")

    assert response.status_code == 500
    assert "plum" not in response.text
    assert "LookupError: the password is plum" in caplog.text


def test_service_may_have_nothing_but_a_mounted_application(config, port):
    class Service:
        name = "service"
        old = WsgiMount("/old", application)

    with run_services(config, Service):
        text = answer(ask(port, "/old/x"))

    assert text.endswith("GET|/old|/x|")


def test_two_applications_at_one_path_are_an_error(host):
    class Service(Mounted):
        too = WsgiMount("/old/", application)

    with pytest.raises(ConfigurationError, match="mounted.old> and <.*mounted.too> both want /old"):
        host(Service)


def test_application_that_streams_is_sent_chunk_by_chunk(host):
    closed, more = [], Event()

    class Chunks:
        def __iter__(self):
            yield b"first\n"
            more.wait()
            yield b"second\n"

        def close(self):
            closed.append(1)

    def streaming(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"zeroth\n")
        return Chunks()

    class Service:
        name = "service"
        old = WsgiMount("/old", streaming)

    response = host(Service).get("/old", stream=True)
    lines = response.iter_lines()

    assert [next(lines), next(lines)] == ["zeroth", "first"]
    more.set()
    assert list(lines) == ["second"]
    assert closed == [1]


class Middleware:
    """Adds a header to every answer."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Seen", environ["PATH_INFO"])], exc_info)

        return self.app(environ, start)


class WrappedServer(WebServer):
    def get_wsgi_app(self):
        app = super().get_wsgi_app()
        assert isinstance(app, WsgiApp)
        return Middleware(app)


class WrappedHandler(HttpRequestHandler):
    server = WrappedServer()


class Wrapped:
    name = "wrapped"

    @WrappedHandler.decorator("POST", "/it")
    def it(self, request):
        return 201, {"got": request.json}

    @WrappedHandler.decorator("GET", "/feed")
    def feed(self, request):
        yield "a\n"
        yield "b\n"

    @WrappedHandler.decorator("GET", "/fail")
    def fail(self, request):
        raise LookupError("it failed")


def test_all_requests_go_through_the_application_of_a_server_that_has_one(host):
    session = host(Wrapped, MAX_WORKERS=1)

    posted, fed, failed, unknown = (
        session.post("/it", json={"a": 1}),
        session.get("/feed"),
        session.get("/fail"),
        session.get("/nowhere"),
    )

    assert (posted.status_code, posted.json()) == (201, {"got": {"a": 1}})
    assert fed.text == "a\nb\n"
    assert (failed.status_code, unknown.status_code) == (500, 404)
    seen = [each.headers["X-Seen"] for each in (posted, fed, failed, unknown)]
    assert seen == ["/it", "/feed", "/fail", "/nowhere"]


def test_stream_through_an_application_ends_when_the_client_goes(host):
    ends = []

    class Service:
        name = "service"

        @WrappedHandler.decorator("GET", "/feed")
        def feed(self, request):
            try:
                while True:
                    yield "a" * 10_000
            finally:
                ends.append(1)

    session = host(Service)
    response = session.get("/feed", stream=True)
    next(response.iter_content())

    response.close()

    wait_until(lambda: ends == [1])


def test_wrapped_services_of_a_process_keep_their_applications_apart(runner_factory, web_config):
    class OtherServer(WebServer):
        def get_wsgi_app(self):
            return Response("other app")

    class OtherHandler(HttpRequestHandler):
        server = OtherServer()

    class Second:
        name = "second"

        @OtherHandler.decorator("GET", "/second")
        def second(self, request): ...

    runner = runner_factory(web_config, Wrapped, Second)
    runner.start()
    session = HttpClient(runner)

    assert session.get("/feed").text == "a\nb\n"
    assert session.get("/second").text == "other app"


def test_requests_for_a_service_that_has_not_started_are_asked_to_come_again(
    runner_factory, web_config
):
    going_on = Event()

    class Slow(DependencyProvider):
        def start(self):
            going_on.wait()

    class Late(Other):
        slow = Slow()

    runner = runner_factory(web_config, Hello, Late)
    starting = spawn(runner.start)
    wait_until(runner.service_map["hello"].ready.is_set)
    session = HttpClient(runner.service_map["hello"])

    early, ready = session.get("/other"), session.get("/-/ready")
    going_on.set()
    starting.wait()

    assert (early.status_code, ready.status_code) == (503, 503)
    assert session.get("/other").text == "other"


def test_client_names_what_it_misses(container_factory, web_config):
    container = container_factory(Hello, web_config)

    with pytest.raises(Exception, match="hello: nothing here answers HTTP, or it was not started"):
        HttpClient(container).get("/hello")
