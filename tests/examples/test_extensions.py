"""The transport of one's own: an entrypoint that is fired by lines, a provider that sends them."""

import socket

import pytest

from examples.extensions import Accountant, Calculator, LineError, LineServer
from rpcnode.testing import entrypoint_hook


@pytest.fixture
def calculator(container_factory, memory_config):
    container = container_factory(Calculator, {**memory_config, "LINE_ADDRESS": "127.0.0.1:0"})
    container.start()
    return container


@pytest.fixture
def address(calculator):
    return next(each.address for each in calculator.extensions if isinstance(each, LineServer))


@pytest.fixture
def lines(address):
    host, port = address.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as connection,
        connection.makefile("rw", encoding="utf-8") as lines,
    ):
        yield lines


def ask(lines, line):
    lines.write(line + "\n")
    lines.flush()
    return lines.readline().rstrip("\n")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("add 2 3", "ok 5"),
        ("add 2", "error calculator.add: missing a required argument: 'second'"),
        ("add two 3", "error ValueError"),
        ("subtract 2 3", "error unknown word 'subtract'"),
        ("", "error unknown word ''"),
    ],
)
def test_each_line_is_answered_with_a_line(lines, line, answer):
    assert ask(lines, line) == answer


def test_an_address_that_is_taken_ends_the_start_with_that_error_alone(
    container_factory, memory_config, address, caplog
):
    other = container_factory(Calculator, {**memory_config, "LINE_ADDRESS": address})

    with pytest.raises(OSError, match="in use"):
        other.start()

    assert "failed to be killed" not in caplog.text


def test_lines_that_come_together_are_answered_in_their_order(address):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"add 2 3\nadd 2\nadd 4 5\n")
        connection.shutdown(socket.SHUT_WR)
        answers = connection.makefile().read().splitlines()

    assert answers[::2] == ["ok 5", "ok 9"]
    assert answers[1].startswith("error calculator.add")


def test_a_line_without_end_closes_its_own_connection_alone(lines, address):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as rude:
        rude.sendall(b"x" * 100_000)
        try:
            answer = rude.recv(100)
        except ConnectionResetError:
            answer = b""

    assert answer == b""
    assert ask(lines, "add 2 3") == "ok 5"


def test_a_container_that_stops_hangs_up_and_frees_its_address(calculator, lines, address):
    assert ask(lines, "add 2 3") == "ok 5"

    calculator.stop()

    assert lines.readline() == ""
    host, port = address.split(":")
    socket.create_server((host, int(port))).close()


@pytest.fixture
def total(container_factory, memory_config, address):
    container = container_factory(Accountant, {**memory_config, "CALCULATOR_ADDRESS": address})
    container.start()
    with entrypoint_hook(container, "total", timeout=10) as total:
        yield total


def test_the_provider_sends_a_line_and_returns_the_answer(total):
    assert total(2, 3) == 5


def test_the_provider_raises_what_is_answered_as_an_error(total):
    with pytest.raises(LineError, match="ValueError"):
        total("two", 3)
