"""The header fields of a request."""

from rpcnode.httpd.headers import RequestHeaders

FIELDS = [(b"Host", b"a"), (b"X-Field", b"one"), (b"x-field", b"two "), (b"X-Latin", b"\xe4")]


def test_field_is_found_in_any_case():
    headers = RequestHeaders(FIELDS)

    assert headers.get("hOsT") == "a"
    assert "X-LATIN" in headers


def test_repeated_field_keeps_all_its_values_in_order():
    headers = RequestHeaders(FIELDS)

    assert headers.getlist("X-Field") == ["one", "two"]
    assert headers.get("X-Field") == "one"


def test_field_that_is_not_there_has_the_default():
    headers = RequestHeaders(FIELDS)

    assert headers.get("X-Other") is None
    assert headers.get("X-Other", "default") == "default"
    assert headers.getlist("X-Other") == []


def test_fields_are_given_as_they_were_sent():
    headers = RequestHeaders(FIELDS)

    assert list(headers.items())[1:] == [("X-Field", "one"), ("x-field", "two"), ("X-Latin", "ä")]
    assert len(headers) == 4


def test_values_are_not_shown():
    headers = RequestHeaders([(b"Authorization", b"secret")])

    assert repr(headers) == "<RequestHeaders Authorization>"
