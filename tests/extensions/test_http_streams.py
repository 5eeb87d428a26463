"""Answers that are made piece by piece."""

import logging
from http.client import IncompleteRead

import pytest
from werkzeug.wrappers import Response

from rpcnode.concurrency import Event, Queue, spawn
from rpcnode.extensions import DependencyProvider
from rpcnode.http import http
from rpcnode.testing import entrypoint_hook
from tests.hosting import wait_until


def service_of(method, **options):
    return type("Service", (), {"name": "service", "feed": http("GET", "/feed", **options)(method)})


@pytest.mark.parametrize(
    ("items", "content_type", "body"),
    [
        (["a", "ü"], "text/plain; charset=utf-8", "aü"),
        ([b"a", b"b"], "application/octet-stream", "ab"),
        ([{"a": 1}, [2]], "application/x-ndjson", '{"a":1}\n[2]\n'),
        ([], None, ""),
        (["", "a", ""], "text/plain; charset=utf-8", "a"),
    ],
)
def test_items_are_sent_as_what_they_are(host, items, content_type, body):
    def feed(self, request):
        yield from items

    response = host(service_of(feed)).get("/feed")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert response.text == body


@pytest.mark.parametrize(
    "wrap",
    [
        lambda items: (201, {"Content-Type": "text/csv", "X-A": "b"}, items),
        lambda items: Response(items, 201, {"X-A": "b"}, content_type="text/csv"),
    ],
    ids=["tuple", "Response"],
)
def test_stream_may_have_a_status_and_headers(host, wrap):
    response = host(service_of(lambda self, request: wrap(each for each in "ab"))).get("/feed")

    assert (response.status_code, response.text) == (201, "ab")
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["X-A"] == "b"


def test_each_item_is_sent_when_it_is_there(host):
    items = Queue()

    def feed(self, request):
        while (item := items.get()) is not None:
            yield item

    session = host(service_of(feed))
    items.put("first\n")
    response = session.get("/feed", stream=True)
    lines = response.iter_lines()

    assert next(lines) == "first"
    items.put("second\n")
    assert next(lines) == "second"
    items.put(None)
    assert list(lines) == []


def test_generator_is_closed_when_the_client_goes(host):
    ends = []

    def feed(self, request):
        try:
            yield "first\n"
            Event().wait()
        except GeneratorExit:
            ends.append("generator exit")
            raise
        finally:
            ends.append("finally")

    session = host(service_of(feed))
    response = session.get("/feed", stream=True)
    assert next(response.iter_lines()) == "first"

    response.close()

    wait_until(lambda: not session.container.lanes[1].running)
    assert ends == ["generator exit", "finally"]


def test_generator_is_closed_when_the_client_goes_between_two_items(host):
    ends = []

    def feed(self, request):
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ends.append("finally")

    session = host(service_of(feed))
    response = session.get("/feed", stream=True)

    response.close()

    wait_until(lambda: ends == ["finally"])


def test_client_that_goes_is_no_failure(host, caplog):
    outcomes = []

    class Noted(DependencyProvider):
        def worker_result(self, worker_ctx, result=None, exc_info=None):
            outcomes.append(exc_info)

    class Service:
        name = "service"
        noted = Noted()

        @http("GET", "/feed")
        def feed(self, request):
            yield "first\n"
            Event().wait()

    session = host(Service)
    with caplog.at_level(logging.WARNING):
        session.get("/feed", stream=True).close()
        wait_until(lambda: outcomes)

    assert outcomes == [None]
    assert caplog.text == ""


def test_slow_client_holds_up_its_stream_and_nothing_is_piled_up(host):
    made = []

    def feed(self, request):
        for number in range(1000):
            made.append(number)
            yield b"x" * 100_000

    session = host(service_of(feed))
    response = session.get("/feed", stream=True)
    wait_until(lambda: len(made) > 5)

    assert len(made) < 100
    total = sum(len(chunk) for chunk in response.iter_content())
    assert total == 100_000_000


def test_error_before_the_first_item_has_a_status(host):
    def feed(self, request):
        raise LookupError("no such feed")
        yield

    response = host(service_of(feed, expected_exceptions=LookupError)).get("/feed")

    assert response.status_code == 400
    assert response.json()["detail"] == "no such feed"


def test_error_in_the_middle_cuts_the_connection(host, caplog):
    def feed(self, request):
        yield "first\n"
        raise LookupError("it broke")

    session = host(service_of(feed))
    response = session.get("/feed", stream=True)

    with pytest.raises(IncompleteRead):
        _ = response.content
    assert "it broke" in caplog.text


def test_dependencies_live_as_long_as_the_stream(host):
    class Connection(DependencyProvider):
        def get_dependency(self, worker_ctx):
            return ["open"]

        def worker_teardown(self, worker_ctx):
            worker_ctx.service.connection[0] = "closed"

    class Service:
        name = "service"
        connection = Connection()

        @http("GET", "/feed")
        def feed(self, request):
            for _ in range(3):
                yield self.connection[0]

    assert host(Service).get("/feed").text == "openopenopen"


def test_streams_do_not_take_workers(host):
    class Service:
        name = "service"

        @http("GET", "/feed")
        def feed(self, request):
            yield "first\n"
            Event().wait()

        @http("GET", "/it")
        def it(self, request):
            return "it"

    session = host(Service, MAX_WORKERS=1)
    feeds = [session.get("/feed", stream=True) for _ in range(3)]

    assert session.get("/it").text == "it"
    for feed in feeds:
        feed.close()


def test_more_streams_than_allowed_are_refused(host):
    def feed(self, request):
        yield "first\n"
        Event().wait()

    session = host(service_of(feed), MAX_STREAMS=1)
    running = session.get("/feed", stream=True)

    refused = session.get("/feed")
    running.close()
    wait_until(lambda: not session.container.lanes[1].running)
    again = session.get("/feed", stream=True)

    assert refused.status_code == 503
    assert again.status_code == 200


def counting(self, request):
    for number in range(100):
        yield f"{number}\n"
        Event().wait(0.005)


def test_stream_outlives_the_usual_timeout(host):
    response = host(service_of(counting), HTTP_TIMEOUT=0.02).get("/feed")

    assert len(response.text.splitlines()) == 100


def test_stream_ends_at_its_own_timeout(host):
    def feed(self, request):
        yield from counting(self, request)

    response = host(service_of(feed, timeout=0.02)).get("/feed", stream=True)

    with pytest.raises(IncompleteRead):
        _ = response.content


def test_head_of_a_stream_runs_nothing(host):
    made = []

    def feed(self, request):
        made.append(1)
        yield "first"

    response = host(service_of(feed)).head("/feed")

    assert response.status_code == 200
    assert made == []


def test_method_that_says_so_is_a_stream(host):
    session = host(service_of(lambda self, request: (each for each in "ab"), stream=True))

    assert session.get("/feed").text == "ab"
    assert session.container.entrypoints[0].lane is session.container.lanes[1]


def test_endless_stream_is_ended_in_good_order_by_a_stop(host):
    ends = []

    def feed(self, request):
        try:
            yield "first\n"
            Event().wait()
        except GeneratorExit:
            ends.append("generator exit")
            raise

    session = host(service_of(feed, endless=True))
    response = session.get("/feed", stream=True)
    assert next(response.iter_lines()) == "first"

    session.container.stop()

    assert list(response.iter_lines()) == []
    assert ends == ["generator exit"]


def test_endless_stream_that_is_busy_is_ended_by_a_stop(host):
    def feed(self, request):
        while True:
            yield b"x" * 100_000

    session = host(service_of(feed, endless=True))
    response = session.get("/feed", stream=True)
    stopping = spawn(session.container.stop)

    chunks = list(response.iter_content())
    stopping.wait()

    assert sum(map(len, chunks)) % 100_000 == 0


def test_endless_stream_does_not_begin_during_a_stop(host):
    end = Event()

    class Service:
        name = "service"

        @http("GET", "/slow")
        def slow(self, request):
            end.wait()

        @http("GET", "/feed", endless=True)
        def feed(self, request):
            yield "never"

    session = host(Service)
    slow = spawn(session.get, "/slow")
    wait_until(lambda: session.container.default_lane.running)
    stopping = spawn(session.container.stop)
    wait_until(lambda: session.container.is_stopping)
    wait_until(lambda: session.get("/feed").status_code == 503)
    end.set()
    stopping.wait()

    assert slow.wait().status_code == 204


def test_items_are_collected_for_a_hook(host):
    class Service:
        name = "service"

        @http("GET", "/feed")
        def feed(self, request):
            yield from "ab"

    with entrypoint_hook(host(Service).container, "feed") as feed:
        assert feed(None) == ["a", "b"]
