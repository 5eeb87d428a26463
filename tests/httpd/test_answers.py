"""The head of an answer."""

import pytest

from rpcnode.httpd.answers import Fields, encode_head
from rpcnode.httpd.errors import InvalidAnswer, InvalidHeader


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\r\nX-Other: b"])
def test_value_that_would_begin_another_header_is_refused_by_its_name(char):
    with pytest.raises(InvalidHeader, match="header X-Field has CR, LF or NUL") as caught:
        Fields([("X-First", "a"), ("X-Field", f"secret{char}b")])

    assert "secret" not in str(caught.value)


def test_pair_of_halves_of_a_line_end_is_refused():
    # Each is there as often as in headers that are in order.
    with pytest.raises(InvalidHeader, match="X-First"):
        Fields([("X-First", "a\r"), ("X-Second", "b\n")])


@pytest.mark.parametrize("name", ["", "X Field", "X-Field:", "X-Field\r\n", "Ä", "X\0"])
def test_name_that_is_no_token_is_refused(name):
    with pytest.raises(InvalidHeader, match="is no name of a header"):
        Fields([(name, "a")])


def test_value_with_letters_that_http_does_not_know_is_refused_by_its_name():
    with pytest.raises(InvalidHeader, match="header X-Second"):
        encode_head(200, "", Fields([("X-First", "ä"), ("X-Second", "€")]))


@pytest.mark.parametrize("name", ["Transfer-Encoding", "date", "KEEP-ALIVE", "Content-Length"])
def test_header_that_is_the_servers_is_left_out(name):
    assert Fields([(name, "1"), ("X-Field", "a")]).text == "X-Field: a\r\n"


@pytest.mark.parametrize("value", ["", "a", "-1", "1.5", "٣"])
def test_length_that_is_no_number_is_refused(value):
    with pytest.raises(InvalidHeader, match="Content-Length"):
        Fields([("Content-Length", value)])


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (799, b"HTTP/1.1 799 \r\n"),
    ],
)
def test_head_begins_with_the_status(status, line):
    assert encode_head(status, "", Fields([])).startswith(line)


@pytest.mark.parametrize("status", [0, 100, 199, 1000])
def test_status_that_ends_no_request_is_refused(status):
    with pytest.raises(InvalidAnswer, match=str(status)):
        encode_head(status, "", Fields([]))
