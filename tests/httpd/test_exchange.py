"""One request and its answer, without a socket."""

import io

import pytest

from rpcnode.concurrency import sleep, spawn
from rpcnode.httpd.application import Application
from rpcnode.httpd.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    InvalidAnswer,
    InvalidHeader,
    Refusal,
)
from rpcnode.httpd.memory import CAPACITY, MemoryConnection
from rpcnode.httpd.settings import ServerSettings
from tests.hosting import wait_until
from tests.httpd.client import chunked, request


class Talk:
    """A connection in memory, whose requests are kept until the test answers them."""

    def __init__(self, on_request=None, **settings):
        self.exchanges = []
        self.done = []
        application = Application(on_request or self.exchanges.append, on_done=self._on_done)
        self.connection = MemoryConnection(application, ServerSettings(**settings))

    def _on_done(self, exchange, status, bytes_sent, seconds):
        self.done.append((exchange.path, status, bytes_sent))

    def ask(self, method="GET", path="/", *fields, **options):
        """Send a request and return its exchange."""
        self.connection.feed(request(method, path, *fields, **options))
        return self.exchanges[-1]

    def answer(self):
        """Return head and body of what was sent."""
        head, _, body = self.connection.take().partition(b"\r\n\r\n")
        return head.decode(), body


@pytest.fixture
def talk():
    return Talk()


def run(function, *args):
    """Return what a function returns in a green thread of its own, which may wait."""
    return spawn(function, *args).wait()


# The request:


def test_request_has_the_parts_of_its_head(talk):
    exchange = talk.ask("PUT", "/a%20b?c=d&e", "X-Field: value")

    assert exchange.method == "PUT"
    assert exchange.target == "/a%20b?c=d&e"
    assert (exchange.path, exchange.query_string) == ("/a%20b", "c=d&e")
    assert exchange.version == "1.1"
    assert exchange.scheme == "http"
    assert exchange.headers.get("x-field") == "value"
    assert (exchange.content_length, exchange.has_body) == (0, False)
    assert exchange.read() == b""


def test_uri_as_a_target_names_the_host(talk):
    exchange = talk.ask("GET", "http://shop:8080/items?a=b", "Host: other")

    assert (exchange.path, exchange.query_string) == ("/items", "a=b")
    assert exchange.headers.getlist("host") == ["shop:8080"]


def test_star_is_a_target_of_options(talk):
    exchange = talk.ask("OPTIONS", "*")

    assert exchange.path == "*"


def test_body_is_read_whole(talk):
    exchange = talk.ask("POST", "/", body=b"abc")

    assert (exchange.content_length, exchange.has_body) == (3, True)
    assert exchange.read() == b"abc"
    assert exchange.read() == b""


def test_body_is_read_in_parts_of_any_size(talk):
    talk.connection.feed(request("POST", "/", "Transfer-Encoding: chunked"))
    talk.connection.feed(chunked(b"abcd", b"efgh", b"ij"))
    exchange = talk.exchanges[0]

    parts = [exchange.read(3), exchange.read(0), exchange.read(3), exchange.read_some(9)]

    assert parts == [b"abc", b"", b"def", b"gh"]
    assert exchange.read(100) == b"ij"


def test_body_is_a_file(talk):
    exchange = talk.ask("POST", "/", body=b"one\ntwo\nthree")

    assert exchange.stream.readline() == b"one\n"
    assert list(exchange.stream) == [b"two\n", b"three"]


def test_request_without_a_body_has_an_empty_file(talk):
    assert talk.ask().stream.read() == b""


def test_reader_waits_for_what_has_not_arrived(talk):
    talk.connection.feed(request("POST", "/", "Content-Length: 6") + b"abc")
    reader = spawn(talk.exchanges[0].read)

    talk.connection.feed(b"d")
    talk.connection.feed(b"ef")

    assert reader.wait() == b"abcdef"


def test_trailers_are_dropped(talk):
    talk.connection.feed(request("POST", "/", "Transfer-Encoding: chunked"))
    talk.connection.feed(chunked(b"a", trailer=b"X-Evil: 1\r\n") + request("GET", "/next"))
    talk.exchanges[0].respond(200, [])
    wait_until(lambda: len(talk.exchanges) == 2)

    assert "x-evil" not in talk.exchanges[0].headers
    assert "x-evil" not in talk.exchanges[1].headers


def test_offer_of_another_protocol_is_passed_over(talk):
    fields = ("Connection: Upgrade", "Upgrade: h2c")
    talk.connection.feed(request("POST", "/", *fields, body=b"abc") + request("GET", "/next"))
    first = talk.exchanges[0]
    first.respond(200, [])
    wait_until(lambda: len(talk.exchanges) == 2)

    assert first.read() == b"abc"
    assert talk.exchanges[1].path == "/next"


# Limits:


def test_body_that_says_it_is_too_large_is_not_read(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 11", "Expect: 100-continue")
    exchange.max_body = 10

    with pytest.raises(BodyTooLarge, match="10 bytes") as caught:
        exchange.read()

    assert caught.value.status == 413
    assert talk.connection.take() == b""


def test_body_that_turns_out_too_large_is_not_read(talk):
    talk.connection.feed(request("POST", "/", "Transfer-Encoding: chunked"))
    exchange = talk.exchanges[0]
    exchange.max_body = 10
    talk.connection.feed(chunked(b"a" * 8, b"b" * 8))

    with pytest.raises(BodyTooLarge):
        exchange.read()


def test_limit_of_a_body_is_that_of_the_settings():
    talk = Talk(max_body=10)

    assert talk.ask("POST", "/", body=b"a").max_body == 10


def test_nothing_is_read_while_much_waits_to_be_read(talk):
    size = 1_000_000
    talk.connection.feed(request("POST", "/", f"Content-Length: {size}"))
    exchange = talk.exchanges[0]
    for _ in range(size // 10_000):
        talk.connection.feed(b"a" * 10_000)
    received = exchange.body.received

    body = run(exchange.read)

    assert received < 200_000
    assert body == b"a" * size


def test_many_tiny_chunks_do_not_pile_up(talk):
    talk.connection.feed(request("POST", "/", "Transfer-Encoding: chunked"))
    for _ in range(10_000):
        talk.connection.feed(b"1\r\na\r\n")
    talk.connection.feed(chunked())
    exchange = talk.exchanges[0]
    received = exchange.body.received

    body = run(exchange.read)

    assert received < 3_000
    assert body == b"a" * 10_000


def test_limit_counts_for_what_came_with_the_head(talk):
    talk.connection.feed(request("POST", "/", "Transfer-Encoding: chunked") + chunked(b"a" * 11))
    exchange = talk.exchanges[0]

    exchange.max_body = 10

    with pytest.raises(BodyTooLarge, match="larger than 10 bytes"):
        run(exchange.read)


def test_reader_of_a_body_that_does_not_come_gets_an_error():
    talk = Talk(body_timeout=0.01)
    exchange = talk.ask("POST", "/", "Content-Length: 1")
    reader = spawn(lambda: pytest.raises(BodyTimeout, exchange.read))

    wait_until(lambda: talk.connection.group.sweep() or reader.dead)

    assert reader.wait().value.status == 408


def test_body_must_keep_up_its_rate_while_someone_waits(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 100")
    body = exchange.body

    body.count_wait(7)
    talk.connection.feed(b"a" * 29)
    slow = body.patience(10, 3)
    talk.connection.feed(b"a")
    fast = body.patience(10, 3)
    body.count_wait(11)
    late = body.patience(10, 3)
    talk.connection.feed(b"a")
    slower = body.patience(10, 3)
    any_rate = body.patience(10, 0)

    assert (slow, fast, late, slower, any_rate) == (3, 10, -1, -1, 10)


def test_reader_of_a_body_that_is_cut_short_gets_an_error(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 9")
    reader = spawn(lambda: pytest.raises(Refusal, exchange.read))

    talk.connection.feed_eof()

    assert reader.wait().value.status == 400


def test_reader_learns_that_the_client_is_gone(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 9")
    reader = spawn(lambda: pytest.raises(ClientGone, exchange.read))

    talk.connection.vanish()

    assert reader.wait().value.status == 499


# 100-continue:


def test_body_is_asked_for_when_it_is_read(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 3", "Expect: 100-continue")
    before = talk.connection.take()
    reader = spawn(exchange.read)

    asked = talk.connection.wait()
    talk.connection.feed(b"abc")

    assert before == b""
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert reader.wait() == b"abc"


def test_body_may_be_asked_for_before(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 3", "Expect: 100-continue")

    exchange.continue_()
    exchange.continue_()

    assert talk.connection.take() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_answer_without_asking_for_the_body_ends_the_connection(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 3", "Expect: 100-continue")

    exchange.respond(403, [])

    assert "Connection: close" in talk.answer()[0]


# The answer:


def test_whole_answer_is_sent_at_once(talk):
    talk.ask().respond(200, [("Content-Type", "text/plain"), ("X-Field", "ä")], b"hello")

    head, body = talk.connection.take().split(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert lines[1].startswith("Date: ")
    assert lines[2:] == ["Content-Length: 5", "Content-Type: text/plain", "X-Field: ä"]
    assert body == b"hello"


def test_answer_to_head_has_the_length_and_no_body(talk):
    talk.ask("HEAD").respond(200, [], b"hello")

    head, body = talk.answer()
    assert "Content-Length: 5" in head
    assert body == b""


def test_answer_to_head_may_say_a_length_of_its_own(talk):
    talk.ask("HEAD").respond(200, [("Content-Length", "1000")])

    assert "Content-Length: 1000" in talk.answer()[0]


@pytest.mark.parametrize(("status", "length"), [(204, False), (304, True)])
def test_answer_that_cannot_have_a_body_has_none(talk, status, length):
    talk.ask().respond(status, [("Content-Length", "5")], b"hello")

    head, body = talk.answer()
    assert ("Content-Length: 5" in head) is length
    assert "Transfer-Encoding" not in head
    assert body == b""


def test_answer_in_parts_is_chunked(talk):
    exchange = talk.ask()

    exchange.begin(200, [])
    head, _ = talk.answer()
    for chunk in (b"one", b"", b"three"):
        run(exchange.write, chunk)
    parts = talk.connection.take()
    exchange.finish()

    assert "Transfer-Encoding: chunked" in head
    assert parts == b"3\r\none\r\n5\r\nthree\r\n"
    assert talk.connection.take() == b"0\r\n\r\n"


def test_answer_in_parts_of_known_length_is_not_chunked(talk):
    exchange = talk.ask()

    exchange.begin(200, [], length=8)
    run(exchange.write, b"one")
    run(exchange.write, b"three")
    exchange.finish()

    head, body = talk.answer()
    assert "Content-Length: 8" in head
    assert body == b"onethree"


def test_answer_in_parts_ends_with_the_connection_for_who_knows_no_chunks(talk):
    exchange = talk.ask("GET", "/", "Connection: keep-alive", version="1.0")

    exchange.begin(200, [])
    run(exchange.write, b"one")
    exchange.finish()

    head, body = talk.answer()
    assert "Connection: close" in head
    assert "Transfer-Encoding" not in head
    assert body == b"one"
    wait_until(lambda: talk.connection.is_closed)


@pytest.mark.parametrize("status", [200, 204, 304])
def test_answer_in_parts_to_head_is_its_head(talk, status):
    exchange = talk.ask("HEAD")

    exchange.begin(status, [])
    run(exchange.write, b"one")
    exchange.finish()

    assert talk.answer()[1] == b""
    assert talk.ask("GET", "/next").path == "/next"


def test_answer_that_is_longer_than_it_says_is_an_error(talk):
    exchange = talk.ask()
    exchange.begin(200, [], length=2)

    with pytest.raises(InvalidAnswer, match="longer"):
        run(exchange.write, b"abc")


def test_answer_that_is_shorter_than_it_says_cuts_the_connection(talk):
    exchange = talk.ask()
    exchange.begin(200, [], length=4)
    run(exchange.write, b"abc")

    with pytest.raises(InvalidAnswer, match="1 bytes of the answer are missing"):
        exchange.finish()

    assert talk.connection.is_closed
    assert talk.done == [("/", 200, 3)]


def test_request_is_answered_once(talk):
    exchange = talk.ask("GET", "/item")
    exchange.respond(200, [])

    with pytest.raises(InvalidAnswer, match="GET /item was answered before"):
        exchange.respond(500, [])


@pytest.mark.parametrize("call", [lambda it: it.write(b"a"), lambda it: it.finish()])
def test_part_of_an_answer_that_was_not_begun_is_an_error(talk, call):
    exchange = talk.ask()

    with pytest.raises(InvalidAnswer, match="no answer that goes on"):
        call(exchange)


def test_answer_with_a_wrong_header_may_be_followed_by_another(talk):
    exchange = talk.ask()

    with pytest.raises(InvalidHeader):
        exchange.respond(200, [("Location", "/a\r\nSet-Cookie: b=c")])
    exchange.respond(500, [])

    assert talk.connection.take().startswith(b"HTTP/1.1 500 ")


def test_application_can_end_the_connection(talk):
    talk.ask().respond(200, [("Connection", "close")])

    assert talk.answer()[0].count("Connection: close") == 1
    wait_until(lambda: talk.connection.is_closed)


def test_who_speaks_http_1_0_is_told_that_the_connection_stays(talk):
    talk.ask("GET", "/", "Connection: keep-alive", version="1.0").respond(200, [])

    assert "Connection: keep-alive" in talk.answer()[0]
    assert not talk.connection.is_closed


@pytest.mark.parametrize("options", [{"version": "1.0"}, {}])
def test_client_that_wants_no_more_is_left(talk, options):
    fields = () if options else ("Connection: close",)
    talk.ask("GET", "/", *fields, **options).respond(200, [], b"a")

    assert "Connection: close" in talk.answer()[0]
    assert talk.connection.is_closed


def test_body_that_nobody_read_is_dropped(talk):
    talk.connection.feed(request("POST", "/", "Content-Length: 1000") + b"a" * 400)
    talk.exchanges[0].respond(200, [])
    talk.connection.feed(b"a" * 600 + request("GET", "/next"))

    assert talk.exchanges[1].path == "/next"


def test_large_body_that_nobody_read_ends_the_connection(talk):
    talk.ask("POST", "/", "Content-Length: 1000000").respond(200, [])

    assert "Connection: close" in talk.answer()[0]


def test_body_cannot_be_read_after_the_answer(talk):
    exchange = talk.ask("POST", "/", "Content-Length: 9")
    reader = spawn(lambda: pytest.raises(InvalidAnswer, exchange.read))
    sleep(0)

    exchange.respond(200, [])

    assert reader.wait().match("answered before its body was read")
    with pytest.raises(InvalidAnswer):
        exchange.read()


def test_answer_whose_body_is_of_a_wrong_kind_can_be_cut(talk):
    exchange = talk.ask()

    with pytest.raises(TypeError):
        exchange.respond(200, [], "text")
    exchange.abort()

    assert talk.connection.is_closed
    assert talk.connection.group.requests_running == 0


# Whose turn it is:


def test_requests_are_handed_over_one_after_the_other(talk):
    talk.connection.feed(request("GET", "/1") + request("GET", "/2") + request("GET", "/3"))
    assert [exchange.path for exchange in talk.exchanges] == ["/1"]

    talk.exchanges[0].respond(200, [], b"1")
    wait_until(lambda: len(talk.exchanges) == 2)
    talk.exchanges[1].respond(200, [], b"2")
    wait_until(lambda: len(talk.exchanges) == 3)

    assert talk.exchanges[2].path == "/3"


def test_thousand_requests_at_once_are_answered_in_the_hub():
    talk = Talk(lambda exchange: exchange.respond(200, [], exchange.path.encode()))

    talk.connection.feed(b"".join(request("GET", f"/{number}") for number in range(1000)))
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in talk.connection.take().split(b"HTTP/")]

    assert bodies[1:] == [b"/%d" % number for number in range(1000)]


def test_error_in_the_hub_is_answered_and_the_next_request_too(caplog):
    def on_request(exchange):
        if exchange.path == "/bad":
            raise ValueError("secret")
        exchange.respond(200, [])

    talk = Talk(on_request)
    talk.connection.feed(request("GET", "/bad") + request("GET", "/good"))
    sent = talk.connection.take()

    assert sent.startswith(b"HTTP/1.1 500 ")
    assert b"HTTP/1.1 200 " in sent
    assert b"secret" not in sent
    assert "GET /bad failed in the hub" in caplog.text


# Clients that leave, or are slow:


def test_application_hears_once_of_a_client_that_is_gone(talk):
    gone = []
    exchange = talk.ask()
    exchange.on_gone = lambda: gone.append("gone")

    talk.connection.vanish()
    wait_until(lambda: gone)
    exchange.respond(200, [], b"late")

    assert gone == ["gone"]
    assert exchange.is_gone
    assert talk.done == [("/", 499, 4)]
    assert talk.connection.group.requests_running == 0


def test_writer_learns_that_the_client_is_gone(talk):
    exchange = talk.ask()
    exchange.begin(200, [])
    talk.connection.vanish()

    with pytest.raises(ClientGone):
        exchange.write(b"a")

    exchange.finish()
    assert talk.done == [("/", 499, 0)]


def test_writer_waits_while_the_client_is_slow(talk):
    exchange = talk.ask()
    exchange.begin(200, [])
    written = []

    def write():
        for number in range(40):
            exchange.write(b"a" * 100_000)
            written.append(number)
        exchange.finish()

    writer = spawn(write)
    wait_until(lambda: len(written) * 100_000 >= CAPACITY - 100_000)
    before = len(written)
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data += talk.connection.wait()
    writer.wait()

    assert before < 20
    assert data.count(b"a") > 40 * 100_000


def test_writer_that_waits_learns_that_the_client_is_gone(talk):
    exchange = talk.ask()
    exchange.begin(200, [])
    writer = spawn(lambda: pytest.raises(ClientGone, lambda: exchange.write(b"a" * (CAPACITY * 2))))
    wait_until(lambda: exchange.bytes_sent)

    talk.connection.vanish()

    assert writer.wait()


def test_next_request_waits_until_a_large_answer_is_taken(talk):
    talk.connection.feed(request("GET", "/1") + request("GET", "/2"))
    talk.exchanges[0].respond(200, [], b"a" * (CAPACITY * 2))
    assert len(talk.exchanges) == 1

    talk.connection.take()

    wait_until(lambda: len(talk.exchanges) == 2)


def test_client_that_sends_no_more_still_gets_its_answer(talk):
    exchange = talk.ask()

    talk.connection.feed_eof()
    exchange.respond(200, [], b"a")

    assert talk.answer()[1] == b"a"
    assert talk.connection.is_closed


def test_client_that_sends_no_more_still_gets_all_its_answers(talk):
    talk.connection.feed(request("GET", "/1") + request("GET", "/2"))
    talk.connection.feed_eof()
    talk.exchanges[0].respond(200, [], b"1")
    wait_until(lambda: len(talk.exchanges) == 2)
    talk.exchanges[1].respond(200, [], b"2")

    sent = talk.connection.take()
    assert sent.count(b"HTTP/1.1 200 OK") == 2
    assert sent.count(b"Connection: close") == 1
    assert talk.connection.is_closed


def test_client_that_leaves_a_feed_is_gone(talk):
    gone = []
    exchange = talk.ask()
    exchange.on_gone = lambda: gone.append("gone")
    exchange.begin(200, [])

    talk.connection.feed_eof()

    wait_until(lambda: gone)


def test_application_can_cut_the_connection(talk):
    exchange = talk.ask()
    exchange.begin(200, [])

    exchange.abort()
    exchange.abort()

    assert talk.connection.is_closed
    assert talk.done == [("/", 200, 0)]


def test_part_of_a_file_is_sent(talk, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    exchange = talk.ask()

    exchange.begin(200, [], length=4)
    with (tmp_path / "file").open("rb") as file:
        run(exchange.send_file, file, 3, 4)
    exchange.finish()

    assert talk.answer()[1] == b"3456"


def test_file_that_ends_too_soon_is_an_error(talk, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    exchange = talk.ask()

    exchange.begin(200, [], length=20)
    with (tmp_path / "file").open("rb") as file:
        with pytest.raises(InvalidAnswer, match="file ends"):
            run(exchange.send_file, file, 0, 20)


def test_each_answer_is_told_of(talk):
    talk.ask("GET", "/1").respond(404, [], b"abc")
    talk.ask("HEAD", "/2").respond(200, [], b"abc")

    assert talk.done == [("/1", 404, 3), ("/2", 200, 0)]


def test_wrong_log_keeps_no_connection_from_going_on(talk, caplog):
    talk.done = None  # what _on_done stumbles over

    talk.ask("GET", "/1").respond(200, [])
    exchange = talk.ask("GET", "/2")

    assert exchange.path == "/2"
    assert "on_done failed for GET /1" in caplog.text


def test_file_object_of_a_body_can_be_wrapped(talk):
    exchange = talk.ask("POST", "/", body="größe".encode())

    assert io.TextIOWrapper(exchange.stream, "utf-8").read() == "größe"
