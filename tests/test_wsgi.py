"""Services under another WSGI server."""

import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from textwrap import dedent

import pytest
from werkzeug.test import Client

from rpcnode.concurrency import run_in_native_thread
from rpcnode.exceptions import RpcNodeError
from rpcnode.http import http
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing.utils import assert_stops_raising, find_free_port
from rpcnode.wsgi import WsgiExport
from tests.hosting import wait_until

ROOT = Path(__file__).parent.parent


class Stock:
    name = "stock"

    @rpc
    def get(self, sku):
        return {"sku": sku}


class Shop:
    name = "shop"
    stock = RpcProxy("stock")

    @http("GET", "/items/<sku>")
    def item(self, request, sku):
        return self.stock.get(sku)

    @http("POST", "/size", max_body="2MB")
    def size(self, request):
        return {"size": len(request.get_data())}

    @http("GET", "/feed")
    def feed(self, request):
        for number in range(3):
            yield {"n": number}

    @http("GET", "/endless")
    def endless(self, request):
        try:
            while True:
                yield "on and on\n"
        finally:
            ends.append(1)

    @http("GET", "/nothing")
    def nothing(self, request): ...

    @http("GET", "/fail")
    def fail(self, request):
        raise LookupError


ends: list[int] = []


@pytest.fixture
def application(memory_config):
    application = WsgiExport(Shop, Stock, config=memory_config)
    yield application
    native(application.close)


def native(function, *args):
    """Run a function in a native thread, where a WSGI server would call."""
    outcome = run_in_native_thread(function, *args)
    outcome.wait(10)
    return outcome.result()


def ask(application, *args, **options):
    def send():
        response = Client(application).open(*args, **options)
        return response.status_code, response.headers, response.get_data()

    return native(send)


def test_request_is_answered_by_services_that_call_each_other(application):
    status, headers, body = ask(application, "/items/plum")

    assert (status, body) == (200, b'{"sku":"plum"}')
    assert headers["Content-Type"] == "application/json"


def test_large_body_is_read_and_a_larger_one_refused(application):
    fine = ask(application, "/size", method="POST", data=b"x" * 1_500_000)
    too_large = ask(application, "/size", method="POST", data=b"x" * 20_000_000)

    assert fine[::2] == (200, b'{"size":1500000}')
    assert too_large[0] == 413


def test_stream_is_passed_on(application):
    assert ask(application, "/feed")[::2] == (200, b'{"n":0}\n{"n":1}\n{"n":2}\n')


def test_stream_that_nobody_reads_on_ends(application):
    def send():
        response = Client(application).open("/endless")
        first = next(iter(response.response))
        response.close()
        return first

    assert native(send) == b"on and on\n"
    wait_until(lambda: ends == [1])


def test_errors_are_answered(application):
    assert ask(application, "/fail")[0] == 500
    assert ask(application, "/nowhere")[0] == 404


def test_answer_to_head_has_no_body_but_its_length(application):
    status, headers, body = ask(application, "/items/plum", method="HEAD")

    assert (status, headers["Content-Length"], body) == (200, "14", b"")


def test_answer_without_a_body_has_no_length(application):
    status, headers, body = ask(application, "/items/plum", method="DELETE")
    none = ask(application, "/nothing")

    assert (status, "Content-Length" in headers, body != b"") == (405, True, True)
    assert (none[0], "Content-Length" in none[1], none[2]) == (204, False, b"")


def test_services_start_again_after_a_close(application):
    assert ask(application, "/items/plum")[0] == 200
    native(application.close)

    assert ask(application, "/items/plum")[0] == 200


def test_many_threads_may_ask_at_once(application):
    outcomes = [
        run_in_native_thread(lambda: Client(application).open("/items/plum").status_code)
        for _ in range(8)
    ]

    for outcome in outcomes:
        outcome.wait(10)
    assert [outcome.result() for outcome in outcomes] == [200] * 8


def test_services_without_http_are_an_error(memory_config):
    application = WsgiExport(Stock, config=memory_config)

    with pytest.raises(RpcNodeError, match="stock: nothing here answers HTTP"):
        ask(application, "/")


SERVER = """
    import sys
    from wsgiref.simple_server import make_server
    from rpcnode.wsgi import WsgiExport
    from tests.test_wsgi import Shop, Stock

    application = WsgiExport(Shop, Stock, config={"AMQP_URI": "memory://wsgi"})
    make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""


@contextmanager
def foreign_server():
    """Run the server of the standard library, in a process that nobody patched."""
    port = find_free_port()
    process = subprocess.Popen([sys.executable, "-c", dedent(SERVER), str(port)], cwd=ROOT)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def test_server_of_the_standard_library_serves_services():
    with foreign_server() as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        assert_stops_raising(connection.connect, ConnectionRefusedError)
        connection.request("GET", "/items/plum")
        response = connection.getresponse()

    assert (response.status, response.read()) == (200, b'{"sku":"plum"}')
