"""A server over real sockets."""

import http.client
import socket
from contextlib import suppress
from contextvars import ContextVar

import pytest

from rpcnode.concurrency import Event, spawn
from rpcnode.httpd.errors import ClientGone
from tests.hosting import wait_until
from tests.httpd.client import chunked, request
from tests.httpd.conftest import TEXT


def test_request_is_answered(serve):
    client = serve().client()

    answer = client.get("/items")

    assert (answer.status, answer.body) == (200, b"/items")
    assert answer.headers["content-length"] == "6"
    assert answer.headers["date"].endswith(" GMT")


def test_client_of_the_standard_library_is_served(serve):
    site = serve()
    connection = http.client.HTTPConnection("127.0.0.1", site.server.address.port, timeout=5)

    connection.request("POST", "/", body=iter([b"one", b"two"]), encode_chunked=True)
    first = connection.getresponse().read()
    connection.request("GET", "/second")
    second = connection.getresponse().read()
    connection.close()

    assert (first, second) == (b"onetwo", b"/second")
    wait_until(lambda: not site.server.connections)


def test_connection_is_used_again(serve):
    site = serve()
    client = site.client()

    bodies = [client.get(f"/{number}").body for number in range(3)]

    assert bodies == [b"/0", b"/1", b"/2"]
    assert site.server.connections == 1
    assert site.server.requests_running == 0


def test_both_sides_of_a_connection_are_known(serve):
    site = serve()
    client = site.client()
    client.get()

    exchange = site.seen[0]
    assert (exchange.remote_addr, exchange.remote_port) == client.sock.getsockname()
    assert exchange.server_addr == client.sock.getpeername()
    assert exchange.peer_certificate is None


def test_server_listens_at_ipv6_too(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as exc:
        pytest.skip(f"this machine has no IPv6: {exc}")
    site = serve(address="::1")

    client = site.client()

    assert client.get("/six").body == b"/six"


def test_requests_that_follow_at_once_are_answered_in_order(serve):
    client = serve().client()

    client.send(b"".join(request("GET", f"/{number}") for number in range(100)))
    bodies = [client.answer().body for _ in range(100)]

    assert bodies == [b"/%d" % number for number in range(100)]


def test_requests_that_follow_at_once_wait_as_bytes_most_of_them(serve):
    end = Event()
    site = serve(lambda exchange: end.wait() and exchange.respond(200, TEXT, b"it"))
    client, number = site.client(), 2_000

    client.send(request("GET", "/") * number)
    wait_until(lambda: site.seen)
    (connection,) = site.server._group.connections
    waiting = len(connection._queue)
    end.set()

    assert waiting < 500
    assert {client.answer().body for _ in range(number)} == {b"it"}


def test_request_may_arrive_byte_by_byte(serve):
    client = serve().client()

    for byte in request("POST", "/", body=b"abc"):
        client.send(bytes([byte]))

    assert client.answer().body == b"abc"


def test_requests_of_one_connection_do_not_share_a_context(serve):
    def answer(exchange):
        exchange.respond(200, TEXT, str(marker.get("nothing")).encode())
        marker.set("left behind")

    marker = ContextVar("marker")
    client = serve(answer).client()

    client.send(request("GET", "/1") + request("GET", "/2"))

    assert [client.answer().body, client.answer().body] == [b"nothing", b"nothing"]


def test_slow_request_does_not_keep_others(serve):
    go_on = Event()

    def answer(exchange):
        if exchange.path == "/slow":
            go_on.wait()
        exchange.respond(200, TEXT, exchange.path.encode())

    site = serve(answer)
    slow, quick = site.client(), site.client()
    slow.send(request("GET", "/slow"))
    body = quick.get("/quick").body
    go_on.set()

    assert body == b"/quick"
    assert slow.answer().body == b"/slow"


def test_body_is_echoed_in_flat_steps(serve):
    def answer(exchange):
        exchange.begin(200, TEXT)
        while data := exchange.read_some():
            exchange.write(data)
        exchange.finish()

    client = serve(answer).client()
    parts = [bytes([number]) * 50_000 for number in range(60)]
    sender = spawn(
        client.send,
        request("POST", "/", "Transfer-Encoding: chunked") + chunked(*parts),
    )
    received = client.answer()
    sender.wait()

    assert received.body == b"".join(parts)


def test_client_that_waits_for_continue_is_told_to(serve):
    client = serve().client()

    client.send(request("POST", "/", "Content-Length: 3", "Expect: 100-continue"))
    interim = client.answer()
    client.send(b"abc")

    assert interim.status == 100
    assert client.answer().body == b"abc"


def test_file_is_sent_whole(serve, tmp_path):
    content = bytes(range(256)) * 20_000
    (tmp_path / "file").write_bytes(content)

    def answer(exchange):
        exchange.begin(200, TEXT, len(content))
        with (tmp_path / "file").open("rb") as file:
            exchange.send_file(file, 0, len(content))
        exchange.finish()

    client = serve(answer).client()

    assert client.get().body == content
    assert client.get().body == content


def test_client_that_is_slow_to_read_gets_all(serve):
    size = 20_000_000
    site = serve(lambda exchange: exchange.respond(200, TEXT, b"a" * size))
    client = site.client()

    client.send(request("GET", "/"))
    wait_until(lambda: site.seen and site.seen[0].is_finished)
    assert site.done == []
    answer = client.answer()

    assert len(answer.body) == size
    wait_until(lambda: site.done)


# Clients that leave:


def test_half_closed_client_gets_its_answer(serve):
    go_on = Event()
    site = serve(lambda exchange: (go_on.wait(), exchange.respond(200, TEXT, b"late")))
    client = site.client()

    client.send(request("GET", "/"))
    client.sock.shutdown(socket.SHUT_WR)
    wait_until(lambda: site.seen)
    go_on.set()

    assert client.answer().body == b"late"
    assert client.is_closed()
    wait_until(lambda: not site.server.connections)


def test_client_that_vanishes_is_noticed_at_once(serve):
    gone = Event()

    def answer(exchange):
        exchange.on_gone = gone.set
        gone.wait()
        exchange.respond(200, TEXT)

    site = serve(answer)
    client = site.client()
    client.send(request("GET", "/"))
    wait_until(lambda: site.seen)
    client.vanish()

    wait_until(lambda: site.done)
    assert site.done[0][1] == 499
    wait_until(lambda: not site.server.connections)


def test_client_that_vanishes_from_a_feed_is_noticed(serve):
    def answer(exchange):
        exchange.begin(200, TEXT)
        while True:
            exchange.write(b"a" * 10_000)

    site = serve(answer)
    client = site.client()
    client.send(request("GET", "/"))
    client.until(b"\r\n\r\n")
    client.sock.close()

    wait_until(lambda: site.errors)
    assert isinstance(site.errors[0], ClientGone)
    wait_until(lambda: not site.server.connections)
    assert site.server.requests_running == 0


def test_client_that_vanishes_while_nothing_is_read_is_noticed(serve):
    go_on = Event()

    def answer(exchange):
        exchange.on_gone = go_on.set
        go_on.wait()
        exchange.respond(200, TEXT)

    site = serve(answer, header_timeout=0.1)
    client = site.client()
    client.send(request("GET", "/1") + request("GET", "/2"))
    wait_until(lambda: site.seen)
    client.vanish()

    wait_until(lambda: site.done)
    assert site.seen[0].is_gone


def test_client_that_sends_too_much_gets_to_read_why(serve):
    site = serve(max_body=100_000)
    client = site.client()
    size = 5_000_000
    sender = spawn(client.send, request("POST", "/", f"Content-Length: {size}") + b"a" * size)

    answer = client.answer()

    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    sender.wait()


def test_client_whose_body_is_malformed_gets_to_read_why(serve):
    site = serve()
    client = site.client()
    size = 5_000_000

    broken = request("POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabcd\r\n"
    sender = spawn(client.send, broken + b"a" * size)
    answer = client.answer()
    sender.wait()
    client.sock.close()

    assert answer.status == 400
    wait_until(lambda: not site.server.connections)


# Limits:


def test_silent_client_is_left_after_the_keep_alive_time(serve):
    site = serve(keep_alive=0.4)
    client = site.client()
    client.get()

    assert client.is_closed()
    wait_until(lambda: not site.server.connections)


def test_client_that_never_says_a_word_is_left(serve):
    client = serve(keep_alive=0.1).client()

    assert client.is_closed()


def test_head_that_drips_in_is_refused(serve):
    site = serve(header_timeout=0.2)
    client = site.client()

    is_answered = Event()

    def drip():
        client.send(b"GET / HTTP/1.1\r\nX-Field: ")
        while not is_answered.wait(0.01):
            client.send(b"a")

    dripping = spawn(drip)
    answer = client.answer()
    is_answered.set()
    dripping.wait()

    assert answer.status == 408
    assert site.seen == []


def test_body_that_does_not_come_is_answered(serve):
    client = serve(body_timeout=0.1).client()

    client.send(request("POST", "/", "Content-Length: 3") + b"a")
    answer = client.answer()

    assert answer.status == 408
    assert client.is_closed()


def dripped(client, head, is_over):
    """Send the head of a request, and single bytes of its body until it is over."""
    client.send(head)
    while not is_over.wait(0.002):
        with suppress(OSError):  # the server has closed
            client.send(b"a")


def test_body_that_drips_in_is_refused(serve):
    client = serve(body_timeout=0.2, body_rate=50_000).client()
    is_over = Event()
    head = request("POST", "/", "Content-Length: 1000000") + b"a" * 200_000

    dripping = spawn(dripped, client, head, is_over)
    answer = client.answer()
    is_over.set()
    dripping.wait()

    assert answer.status == 408


def test_client_that_takes_nothing_is_cut(serve):
    site = serve(lambda exchange: exchange.respond(200, TEXT, b"a" * 30_000_000), write_timeout=0.1)
    client = site.client()

    client.send(request("GET", "/"))

    wait_until(lambda: site.done)
    assert site.done[0][1] == 499
    assert site.server.connections == 0


def test_clients_above_the_limit_wait_for_others_to_leave(serve):
    site = serve(max_connections=2)
    first, second, third = site.client(), site.client(), site.client()
    first.get()
    second.get()
    third.send(request("GET", "/third"))
    wait_until(lambda: site.server.connections == 2)

    first.sock.close()

    assert third.answer().body == b"/third"
    assert site.server.connections == 2


def test_server_gets_along_with_who_closes_what_another_reads(serve):
    site = serve()
    pairs = [socket.socketpair() for _ in range(5)]
    waiting = []

    def read(sock):
        waiting.append(sock)
        with pytest.raises(EOFError):  # so eventlet tells that it was closed
            sock.recv(1)

    readers = [spawn(read, pair[0]) for pair in pairs]
    wait_until(lambda: len(waiting) == len(pairs))
    for sock, _ in pairs:
        sock.close()

    answers = [site.client().get() for _ in range(10)]

    assert {answer.status for answer in answers} == {200}
    for reader in readers:
        reader.wait()


def test_slow_clients_do_not_keep_others(serve):
    site = serve()
    slow = [site.client() for _ in range(50)]
    for client in slow:
        client.send(b"GET / HT")

    bodies = {site.client().get("/quick").body for _ in range(5)}

    assert bodies == {b"/quick"}


def test_application_that_answers_in_the_hub_needs_no_green_thread(serve):
    site = serve(on_request=lambda exchange: exchange.respond(404, TEXT, b"nothing"))

    assert site.client().get().status == 404
