"""The processes of a measurement, with programs that stand for those of a peer."""

import os
import sys
import time

import pytest

from benchmarks.peer import Peer
from benchmarks.process import PeerFailed, cpu_seconds, running

WAIT = "import time; time.sleep(60)"  # longer than the test, which kills it
ECHO = f"print(input(), flush=True); {WAIT}"
DEADLINE = 10.0


class Program(Peer):
    """A peer whose one program is a line of Python."""

    def command(self, program):
        return [sys.executable, "-c", program]


PEER = Program("some")


def test_program_gets_its_settings_as_one_line_and_answers_with_another():
    settings = {"event": "ready", "password": "sécret"}

    with running(PEER, ECHO, settings) as process:
        facts = process.expect("ready", DEADLINE)

    assert facts == settings


def test_program_has_ended_after_the_block():
    with running(PEER, ECHO, {"event": "ready"}) as process:
        process.expect("ready", DEADLINE)

    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_another_event_than_the_expected_one_is_an_error_that_names_both():
    with (
        running(PEER, ECHO, {"event": "begin"}) as process,
        pytest.raises(PeerFailed, match="said 'begin' instead of 'end'"),
    ):
        process.expect("end", DEADLINE)


def test_program_that_ends_without_a_word_is_an_error():
    with (
        running(PEER, "input()", {}) as process,
        pytest.raises(PeerFailed, match="said 'nothing' instead of 'ready'"),
    ):
        process.expect("ready", DEADLINE)


def test_a_line_that_is_not_json_is_an_error_that_shows_it():
    with (
        running(PEER, f"print('starting services', flush=True); {WAIT}", {}) as process,
        pytest.raises(PeerFailed, match="said 'starting services' instead of 'ready'"),
    ):
        process.expect("ready", DEADLINE)


def test_program_that_says_nothing_in_time_is_killed():
    with (
        running(PEER, WAIT, {}) as process,
        pytest.raises(PeerFailed, match="said 'nothing'"),
    ):
        process.expect("ready", 0.01)


def test_cpu_time_of_a_process_is_what_the_system_says():
    deadline = time.monotonic() + DEADLINE
    before, own = cpu_seconds(os.getpid()), time.process_time()

    while time.process_time() < own + 0.1 and time.monotonic() < deadline:
        sum(range(1000))

    assert 0.05 < cpu_seconds(os.getpid()) - before < DEADLINE
