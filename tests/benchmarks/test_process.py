"""The processes of a measurement, with programs that stand for those of a peer."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from benchmarks.peer import Peer
from benchmarks.process import (
    PeerFailed,
    connections,
    cpu_seconds,
    family,
    machine_cpu_seconds,
    resident_mb,
    running,
)

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


def test_a_line_that_may_come_before_is_passed_over():
    twice = f'print(input(), flush=True); print(\'{{"event": "end"}}\', flush=True); {WAIT}'

    with running(PEER, twice, {"event": "ready"}) as process:
        facts = process.expect("end", DEADLINE, passing="ready")

    assert facts == {"event": "end"}


def test_error_has_the_last_line_that_a_program_wrote_for_people():
    fail = "import sys; print('first', file=sys.stderr); sys.exit('no broker')"

    with running(PEER, fail, {}) as process, pytest.raises(PeerFailed) as failed:
        process.expect("ready", DEADLINE)

    assert str(failed.value).endswith("said 'nothing' instead of 'ready': no broker")


PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "{WAIT}"])
print('{{"event": "ready", "child": %d}}' % child.pid, flush=True)
{WAIT}
"""


def test_children_of_a_program_belong_to_it_and_end_with_it():
    with running(PEER, PARENT, {}) as process:
        child = process.expect("ready", DEADLINE)["child"]
        found = family(process.pid)
        memory = resident_mb(process.pid)
        of_the_child = resident_mb(child)

    assert found == [process.pid, child]
    assert memory > of_the_child > 1
    assert has_ended(child)


def has_ended(pid):
    """Return whether a process is gone, or waits only to be looked at, within the deadline."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_connections_to_a_port_are_counted():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        before = connections(os.getpid(), port)
        with socket.create_connection(("127.0.0.1", port)):
            during = connections(os.getpid(), port)

    assert (before, during) == (0, 1)


def test_cpu_time_of_the_machine_is_at_least_our_own():
    before, own = machine_cpu_seconds(), cpu_seconds(os.getpid())
    deadline = time.monotonic() + DEADLINE

    while cpu_seconds(os.getpid()) < own + 0.1 and time.monotonic() < deadline:
        sum(range(1000))

    assert machine_cpu_seconds() - before > 0.05
