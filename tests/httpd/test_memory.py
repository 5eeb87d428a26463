"""The client's side of a connection in memory."""

import pytest

from rpcnode.concurrency import spawn
from rpcnode.httpd.application import Application
from rpcnode.httpd.memory import MemoryConnection
from tests.httpd.client import request


def test_answer_of_a_green_thread_is_waited_for():
    connection = MemoryConnection(Application(lambda exchange: spawn(exchange.respond, 204, [])))

    connection.feed(request("GET", "/"))
    before = connection.take()

    assert before == b""
    assert connection.wait().startswith(b"HTTP/1.1 204 ")


def test_end_of_a_connection_is_waited_for():
    connection = MemoryConnection(Application(lambda exchange: spawn(exchange.abort)))

    connection.feed(request("GET", "/"))

    assert connection.wait() == b""
    assert connection.is_closed


def test_answer_that_does_not_come_is_an_error():
    connection = MemoryConnection(Application(lambda exchange: None))
    connection.feed(request("GET", "/"))

    with pytest.raises(TimeoutError, match=r"nothing was sent within 0\.01 seconds"):
        connection.wait(0.01)


def test_scheme_is_what_it_is_told():
    schemes = []
    application = Application(lambda exchange: schemes.append(exchange.scheme))

    MemoryConnection(application, scheme="https").feed(request("GET", "/"))

    assert schemes == ["https"]


def test_no_bytes_are_not_the_end_of_a_body():
    exchanges = []
    connection = MemoryConnection(Application(exchanges.append))
    data = request("POST", "/", body=b"abcd")

    for part in (data[:-2], b"", data[-2:]):
        connection.feed(part)

    assert exchanges[0].read() == b"abcd"
