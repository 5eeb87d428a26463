"""`rpcnode migrate`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = """\
import nameko.rpc
from nameko.events import EventDispatcher, event_handler


class Shop:
    name = "shop"
    dispatch = EventDispatcher()

    @nameko.rpc.rpc
    def sell(self, what):
        self.dispatch("sold", what)  # the word nameko in a comment stays
        return f"sold {what}"


class Books:
    name = "books"

    @event_handler("shop", "sold")
    def note(self, what):
        print("noted", what)
"""


@pytest.fixture
def code(tmp_path, environ):
    """A folder with a service of Nameko's, outside of any repository."""
    environ["GIT_CEILING_DIRECTORIES"] = str(tmp_path.parent)
    (tmp_path / "shop.py").write_text(SERVICE)
    return tmp_path


def test_service_of_nameko_runs_after_its_move(rpcnode, code):
    refused = rpcnode("call", "--host", "shop", "shop.sell", '"plum"')
    moved = rpcnode("migrate", "--write", "--force", ".")

    result = rpcnode("call", "--host", "shop", "shop.sell", '"plum"')

    assert refused.returncode != 0
    assert (moved.returncode, moved.stderr) == (0, "")
    assert "+from rpcnode.events import EventDispatcher, event_handler" in moved.stdout
    assert result.stdout.splitlines() == ["noted plum", '"sold plum"']
    assert (code / "shop.py").read_text() == SERVICE.replace("nameko.", "rpcnode.")


def test_nothing_is_written_unless_asked_and_the_exit_code_says_that_something_is_left(
    rpcnode, code
):
    result = rpcnode("migrate", ".")

    assert result.returncode == 1
    assert "-import nameko.rpc\n" in result.stdout
    assert "+import rpcnode.rpc\n" in result.stdout
    assert "3 words in 1 file to replace; --write does it" in result.stdout
    assert (code / "shop.py").read_text() == SERVICE


def test_second_run_changes_nothing(rpcnode, code):
    first = rpcnode("migrate", "--write", "--force", ".")
    written = (code / "shop.py").stat()

    second = rpcnode("migrate", "--write", ".")

    assert (first.returncode, second.returncode) == (0, 0)
    assert "no word to replace" in second.stdout
    assert (code / "shop.py").stat().st_mtime_ns == written.st_mtime_ns


def test_files_without_a_way_back_are_written_by_force_only(rpcnode, code):
    result = rpcnode("migrate", "--write", ".")

    assert result.returncode == 2
    assert "nothing was written" in result.stderr
    assert "shop.py" in result.stderr
    assert (code / "shop.py").read_text() == SERVICE


def test_what_needs_somebody_is_told_and_stays_told(rpcnode, code):
    (code / "shop.py").write_text(SERVICE.replace('"sold")', '"sold", requeue_on_error=True)'))
    (code / "old.py").write_text("print 'nameko'\n")

    first = rpcnode("migrate", "--write", "--force", ".")
    second = rpcnode("migrate", ".")

    assert (first.returncode, second.returncode) == (1, 1)
    for result in (first, second):
        assert "requeue-on-error: the message goes back to its queue once" in result.stdout
        assert 'shop.py:18: @event_handler("shop", "sold", requeue_on_error=True)' in result.stdout
        assert "old.py: it does not parse as Python 3" in result.stdout


def test_json_has_all_of_it(rpcnode, code):
    (code / "old.py").write_text("print 'nameko'\n")
    (code / "more.py").write_text("from nameko import config\n")

    result = rpcnode("migrate", "--format", "json", ".")

    told = json.loads(result.stdout)
    assert result.returncode == 1
    assert [(move["path"], move["words"]) for move in told["moves"]] == [("shop.py", 3)]
    assert told["moves"][0]["diff"].startswith("--- shop.py\n")
    (place,) = told["places"]
    assert (place["path"], place["line"], place["rule"]) == ("more.py", 1, "not-there")
    assert [each["path"] for each in told["skipped"]] == ["old.py"]
    assert told["written"] == []


def test_code_is_never_imported(rpcnode, code):
    (code / "conftest.py").write_text("import nameko.rpc\nopen('imported', 'w')\n")

    rpcnode("migrate", "--write", "--force", ".")

    assert not (code / "imported").exists()


def test_what_files_hold_steers_no_terminal(rpcnode, code):
    (code / "shop.py").write_text("from nameko import config  # \x1b[31mred\n")

    result = rpcnode("migrate", ".")

    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred" in result.stdout


def test_letters_that_a_terminal_lacks_are_escaped(rpcnode, code, environ):
    environ["PYTHONIOENCODING"] = "ascii"
    (code / "shop.py").write_text("x = '\N{PLUS-MINUS SIGN}'\nimport nameko.rpc as r\n", "utf-8")

    result = rpcnode("migrate", ".")

    assert result.returncode == 1
    assert "\\xb1" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["missing"], [".", "--format", "xml"], [".", "--nope"]])
def test_wrong_command_line_is_an_error(rpcnode, arguments):
    result = rpcnode("migrate", *arguments)

    assert result.returncode == 2
    assert result.stderr


def test_special_file_is_an_error(rpcnode, code):
    os.mkfifo(code / "pipe")

    result = rpcnode("migrate", "pipe")

    assert (result.returncode, result.stderr) == (2, "Error: pipe is neither a folder nor a file\n")


def test_nothing_is_written_that_was_not_shown(code, environ):
    command = [sys.executable, "-m", "rpcnode", "migrate", "--write", "--force", "."]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command,
            cwd=code,
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert (code / "shop.py").read_text() == SERVICE


def test_names_in_an_error_steer_no_terminal(rpcnode, code):
    (code / "red\x1b[31m.py").write_text(SERVICE)

    result = rpcnode("migrate", "--write", ".")

    assert result.returncode == 2
    assert "red\\x1b[31m.py" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_passwords_in_addresses_are_not_shown(rpcnode, code, form):
    (code / "config.yaml").write_text(
        "AMQP_URI: amqp://me:hush@ab@host/\nnameko: 1\nother: amqp://me:hush@host/nameko\n"
    )

    result = rpcnode("migrate", "--write", "--force", "--format", form, ".")

    assert "hush" not in result.stdout
    assert result.stdout.count("amqp://me:********@host/") == 3
    assert (code / "config.yaml").read_text().count("hush") == 2
