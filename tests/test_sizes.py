"""Sizes in bytes."""

import pytest

from rpcnode.config import Config
from rpcnode.exceptions import ConfigurationError
from rpcnode.sizes import parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (1, 1),
        ("10", 10),
        ("10B", 10),
        ("1kB", 1000),
        ("1 KB", 1000),
        ("64 KiB", 65_536),
        ("1MB", 1_000_000),
        ("10 MiB", 10_485_760),
        ("2GB", 2_000_000_000),
        ("1GiB", 1_073_741_824),
    ],
)
def test_size_is_read(written, size):
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written", [0, -1, True, 1.5, None, "", "much", "1 XB", "-1", "1.5MB", "0 MB", "9" * 19, b"1"]
)
def test_what_is_no_size_is_none(written):
    assert parse_size(written) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("HTTP_MAX_BODY", "much"),
        ("HTTP_MAX_HEAD", None),
        ("HTTP_CORS", 5),
        ("HTTP_CONTEXT_HEADERS", {"X-A": 1}),
        ("HTTP_QUEUE_LIMIT", -1),
        ("WEB_SERVER_ADDRESS", 8000),
    ],
)
def test_value_of_http_that_cannot_work_is_refused(key, value):
    with pytest.raises(ConfigurationError, match=f"{key} must be"):
        Config({key: value})
