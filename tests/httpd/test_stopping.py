"""How a server stops: nothing that was accepted is refused, and it ends."""

from contextlib import suppress
from time import monotonic

from rpcnode.concurrency import Event, sleep, spawn
from tests.hosting import wait_until
from tests.httpd.client import Client, request
from tests.httpd.conftest import TEXT


def test_accepted_request_is_finished(serve):
    go_on = Event()
    site = serve(lambda exchange: (go_on.wait(), exchange.respond(200, TEXT, b"done")))
    client = site.client()
    client.send(request("GET", "/"))
    wait_until(lambda: site.seen)

    stopping = spawn(site.server.stop, 5)
    wait_until(lambda: is_refused(site))
    go_on.set()
    answer = client.answer()

    assert answer.body == b"done"
    assert answer.headers["connection"] == "close"
    assert stopping.wait() is True


def is_refused(site):
    try:
        Client(("127.0.0.1", site.server.address.port)).sock.close()
    except ConnectionRefusedError:
        return True
    return False


def test_all_requests_that_were_sent_at_once_are_finished(serve):
    go_on = Event()
    site = serve(lambda exchange: (go_on.wait(), exchange.respond(200, TEXT, b"done")))
    client = site.client()
    client.send(request("GET", "/1") + request("GET", "/2") + request("GET", "/3"))
    wait_until(lambda: site.seen)

    stopping = spawn(site.server.stop, 5)
    wait_until(lambda: is_refused(site))
    go_on.set()
    answers = [client.answer() for _ in range(3)]

    assert ["connection" in answer.headers for answer in answers] == [False, False, True]
    assert stopping.wait() is True


def test_connection_that_was_not_accepted_yet_is_served(serve):
    site = serve(stop_grace=2)
    client = site.client()
    client.send(request("GET", "/"))  # the server's hub has had no turn yet

    stopping = spawn(site.server.stop, 5)

    assert client.answer().status == 200
    client.sock.close()
    assert stopping.wait() is True


def test_clients_that_wait_for_others_to_leave_are_served_at_a_stop(serve):
    site = serve(max_connections=1, stop_grace=2)
    first = site.client()
    first.get()
    others = [site.client() for _ in range(3)]
    for client in others:
        client.send(request("GET", "/waited"))

    stopping = spawn(site.server.stop, 5)

    assert [client.answer().body for client in others] == [b"/waited"] * 3
    for client in (first, *others):
        client.sock.close()
    assert stopping.wait() is True


def test_request_on_its_way_on_an_idle_connection_is_answered(serve):
    site = serve(stop_grace=2)
    client = site.client()
    client.get()

    stopping = spawn(site.server.stop, 5)
    wait_until(lambda: is_refused(site))
    answer = client.get("/late")

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    client.sock.close()
    assert stopping.wait() is True


def test_idle_connections_are_closed_soon(serve):
    site = serve(stop_grace=0.05)
    clients = [site.client() for _ in range(5)]
    for client in clients:
        client.get()

    begun = monotonic()
    is_clean = site.server.stop(10)

    assert is_clean
    assert monotonic() - begun < 5
    assert all(client.is_closed() for client in clients)


def test_request_that_takes_too_long_is_told_so_and_cut(serve):
    site = serve(lambda exchange: Event().wait(30))
    client = site.client()
    client.send(request("GET", "/"))
    wait_until(lambda: site.seen)

    is_clean = site.server.stop(0.1)
    answer = client.answer()

    assert is_clean is False
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert client.is_closed()


def test_answer_that_goes_on_too_long_is_cut(serve):
    def feed(exchange):
        exchange.begin(200, TEXT)
        exchange.write(b"a")
        Event().wait(30)

    site = serve(feed)
    client = site.client()
    client.send(request("GET", "/"))
    client.until(b"1\r\na\r\n")

    site.server.stop(0.1)

    with suppress(ConnectionResetError):
        assert client.is_closed()


def test_stop_ends_under_constant_load_and_refuses_nothing_that_it_accepted(serve):
    site = serve(stop_grace=1)
    failures, answered = [], []
    is_over = Event()

    def load():
        while not is_over.is_set():
            try:
                client = site.client()
            except ConnectionRefusedError:
                return
            try:
                while client.get("/load").headers.get("connection") != "close":
                    answered.append(1)
            except (EOFError, OSError) as exc:
                failures.append(exc)
            client.sock.close()

    loads = [spawn(load) for _ in range(20)]
    wait_until(lambda: len(answered) > 200)
    is_clean = site.server.stop(10)
    is_over.set()
    for each in loads:
        each.wait()

    assert is_clean
    assert failures == []
    assert site.server.requests_running == 0


def test_nothing_is_left_of_a_stopped_server(serve):
    site = serve()
    site.client().get()

    site.server.stop(1)
    site.server.stop(1)
    sleep(0)

    assert site.server.connections == 0
    assert is_refused(site)
