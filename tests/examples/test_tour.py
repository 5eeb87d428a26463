"""`make run`: the whole program, as a user starts it."""

import subprocess
import sys

import pytest

from examples import tour


def run_tour(*arguments):
    command = [sys.executable, "-m", "examples.tour", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_tour_shows_call_reply_and_event_each_with_the_sku():
    tour = run_tour("apricot")

    lines = tour.stdout.splitlines()
    for beginning in ("call ", "reply ", "event ", "       handled by mailer.send"):
        assert any(line.startswith(beginning) and "apricot" in line for line in lines), beginning
    assert tour.returncode == 0
    assert tour.stderr == ""


def test_tour_says_how_to_use_it_when_there_are_too_many_arguments():
    tour = run_tour("apple", "pear")

    assert tour.stderr == "usage: python -m examples.tour [SKU]\n"
    assert tour.returncode == 2


def test_tour_fails_with_a_line_that_names_the_error(monkeypatch, capsys):
    class Orders(tour.Orders):
        name = "somewhere_else"

    monkeypatch.setattr(tour, "Orders", Orders)

    code = tour.main(["plum"])

    assert code == 1
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith("the order of 'plum' failed: UnknownService")


@pytest.mark.parametrize("sku", ["it's", 'a "quoted" one', "Pfläumchen $HOME", ""])
def test_what_to_try_next_can_be_pasted_into_a_shell(sku, capsys):
    tour.main([sku])

    line = next(line for line in capsys.readouterr().out.splitlines() if " --host " in line)
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {line.partition('orders.place')[2]}"],
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout.splitlines()
    assert words == [tour.as_json(sku), "quantity=1000"]
