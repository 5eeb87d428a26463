"""How an address is written."""

import pytest

from rpcnode.exceptions import ConfigurationError
from rpcnode.httpd.address import BindAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8000", ("", 8000)),
        (":8000", ("", 8000)),
        ("localhost:8000", ("localhost", 8000)),
        ("10.0.0.1:0", ("10.0.0.1", 0)),
        ("[::1]:8000", ("::1", 8000)),
        ("[::]:8000", ("::", 8000)),
    ],
)
def test_address_is_read(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:http", "::1:8000", "[::1]", "a:70000", "a:-1", "a:b:1"]
)
def test_what_is_no_address_is_refused_by_its_text(text):
    with pytest.raises(ConfigurationError, match="is no address") as caught:
        parse_address(text)

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["[::1]:8000", "localhost:8000", ":8000"])
def test_address_is_shown_as_it_is_written(text):
    assert str(parse_address(text)) == text


def test_address_is_a_pair_of_address_and_port():
    address, port = BindAddress("localhost", 80)

    assert (address, port) == ("localhost", 80)
