"""Fifty threads that call through one client while their broker is restarted.

`RPCNODE_TEST_RESTARTS` says how often it is (1); the proof at full size has 3.
"""

import os
import threading
from pathlib import Path
from time import monotonic

import pytest

from rpcnode.exceptions import RpcNodeError
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.hosting import hosted, wait_until
from tests.standalone.native import Program
from tests.standalone.services import Shop

RESTARTS = int(os.environ.get("RPCNODE_TEST_RESTARTS", "1"))
THREADS = 50
TIMEOUT = 3  # seconds of each call


class Tally:
    """What came of the calls of all threads."""

    def __init__(self):
        self.returned = self.failed = 0
        self.slowest = 0.0
        self.wrong = []

    def call(self, rpc, question):
        began = monotonic()
        try:
            answer = rpc.shop.echo.with_options(timeout=TIMEOUT)(question)
        except RpcNodeError:
            self.failed += 1
        except BaseException as exc:
            self.wrong.append(repr(exc))
        else:
            self.returned += 1
            if answer != question:
                self.wrong.append([question, answer])
        self.slowest = max(self.slowest, monotonic() - began)


def resources():
    """Return how many threads and open files this process has."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def call_until_told(uri, folder):
    """Call from many threads until a file appears; another one has the number of answers."""
    before = resources()
    tallies = [Tally() for _ in range(THREADS)]
    client = ClusterRpcProxy({"AMQP_URI": uri})
    rpc = client.start()
    rpc.shop.echo("warm")
    stop, returned = Path(folder, "stop"), Path(folder, "returned")

    def work(number):
        call = 0
        while not stop.exists():
            tallies[number].call(rpc, [number, call])
            call += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.2)
        part = Path(folder, "part")
        part.write_text(str(sum(tally.returned for tally in tallies)))
        part.rename(returned)
    pending = client.client.engine.pending
    client.stop()
    return {
        "returned": sum(tally.returned for tally in tallies),
        "failed": sum(tally.failed for tally in tallies),
        "slowest": max(tally.slowest for tally in tallies),
        "wrong": [each for tally in tallies for each in tally.wrong],
        "pending": pending,
        "left": [after - begun for after, begun in zip(resources(), before, strict=True)],
    }


def returned_so_far(folder):
    file = folder / "returned"
    return int(file.read_text()) if file.exists() else 0


def outcome_of_restarts(server, folder, program):
    """Restart the broker while a program calls; return what came of that."""
    seconds = 60 * (1 + RESTARTS)
    with hosted({"AMQP_URI": server.uri}, Shop):
        running = Program(program, server.uri, str(folder), timeout=seconds)
        for _ in range(RESTARTS):
            enough = returned_so_far(folder) + 200
            wait_until(lambda enough=enough: returned_so_far(folder) > enough, seconds=40)
            server.restart()
        enough = returned_so_far(folder) + 200
        wait_until(lambda: returned_so_far(folder) > enough, seconds=40)
        (folder / "stop").touch()
        outcome = running.wait()
    print(outcome)
    return outcome


@pytest.mark.timeout(60 * (1 + RESTARTS))
def test_every_call_has_its_own_answer_or_an_error_while_the_broker_restarts(own_server, tmp_path):
    outcome = outcome_of_restarts(own_server, tmp_path, call_until_told)

    assert outcome["wrong"] == []
    assert outcome["slowest"] < TIMEOUT + 1
    assert outcome["pending"] == 0
    assert outcome["left"] == [0, 0]
