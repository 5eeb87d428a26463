"""Services in processes of their own, and a broker that can be broken."""

import pytest

from tests.cli.conftest import environ, rpcnode, start
from tests.faults.load import Book

__all__ = ["book", "environ", "hosting", "rpcnode", "start"]


@pytest.fixture
def book(tmp_path, environ):
    """What the hosted ledgers write."""
    path = tmp_path / "ledger"
    environ["LEDGER"] = str(path)
    return Book(path)


@pytest.fixture
def hosting(start, book):
    """Return a function that hosts the ledger in a process of its own, up and running."""

    def host(uri, *options):
        process = start("run", "--broker", uri, *options, "tests.faults.ledger")
        process.wait_for("services are up")
        return process

    return host
