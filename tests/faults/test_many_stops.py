"""Stops under constant load, one after the other, with every kind of entrypoint.

`STOPS` is how many; CI makes a few, `STOPS=50` is the number that is promised.
"""

import http.client
import json
import os
import signal
from itertools import count
from time import monotonic

import pytest

from rpcnode.concurrency import sleep, spawn
from rpcnode.testing.utils import find_free_port
from tests.hosting import hosted, wait_until

STOPS = int(os.environ.get("STOPS", "5"))
SHUTDOWN_TIMEOUT = 5
pytestmark = pytest.mark.timeout(60 + 5 * STOPS)
QUEUED = ("pool", "single", "parcel")  # the kinds that wait while nobody is there


class EveryLoad:
    """Uses every entrypoint of the service without a pause, and remembers what came of it.

    `asked` and `answered` are numbers by kind; `failed` are errors of those who wait for an
    answer, but of HTTP clients whose connection was never accepted: they come again.
    """

    def __init__(self, services, port):
        self.port = port
        self.asked = {kind: [] for kind in ("call", "lane", "http", "broadcast", *QUEUED)}
        self.answered = {kind: [] for kind in ("call", "lane", "http")}
        self.failed = []
        self.unanswered = []
        self._services = services
        self._numbers = count()
        self._is_over = False
        senders = {
            "pool": lambda number: services.dispatch("pool", number),
            "single": lambda number: services.dispatch("single", number),
            "broadcast": lambda number: services.dispatch("all", number),
            "parcel": lambda number: services.publish(number, routing_key="parcels"),
        }
        self._threads = [
            *[spawn(self._ask, "call", services.rpc.everything.call) for _ in range(4)],
            *[spawn(self._ask, "lane", services.rpc.everything.call_in_a_lane) for _ in range(3)],
            *[spawn(self._ask, "http", self._post) for _ in range(3)],
            *[spawn(self._send, kind, send) for kind, send in senders.items()],
        ]

    def end(self):
        """Let each thread finish what it is at."""
        self._is_over = True
        for thread in self._threads:
            thread.wait()

    def _ask(self, kind, ask):
        while not self._is_over:
            number = next(self._numbers)
            self.asked[kind].append(number)
            try:
                assert ask(number) == number
                self.answered[kind].append(number)
            except OSError:  # no connection, or one that was not accepted: the book will tell
                self.unanswered.append(number)
                sleep(0.02)
            except Exception as exc:
                self.failed.append((kind, number, exc))

    def _send(self, kind, send):
        while not self._is_over:
            number = next(self._numbers)
            send(number)
            self.asked[kind].append(number)
            sleep(0.02)

    def _post(self, number):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", f"/{number}", headers={"Connection": "close"})
            response = connection.getresponse()
            assert response.status == 200, response.status
            return json.loads(response.read())["number"]
        except http.client.RemoteDisconnected as exc:
            raise ConnectionResetError from exc
        finally:
            connection.close()


@pytest.fixture
def serve(start, book, tmp_path):
    """Return a function that starts the service in a process of its own, up and running."""
    port = find_free_port()

    def host(uri, **config):
        options = {"WEB_SERVER_ADDRESS": f"127.0.0.1:{port}", "HTTP_ACCESS_LOG": False, **config}
        path = tmp_path / "stops.yaml"
        path.write_text("".join(f"{key}: {json.dumps(each)}\n" for key, each in options.items()))
        process = start("run", "--broker", uri, "--config", str(path), "tests.faults.everything")
        process.wait_for("services are up")
        return process

    host.port = port
    return host


def stop(process):
    """Ask a process to stop; return the exit code and the seconds that it took."""
    begin = monotonic()
    process.process.send_signal(signal.SIGTERM)
    code = process.wait()
    return code, monotonic() - begin


def twice(book, kind):
    """Return what was begun more than once."""
    return [number for number, times in book.counts(f"{kind}-began").items() if times > 1]


@pytest.mark.parametrize("mode", ["running", "drain"])
def test_no_caller_sees_any_of_many_stops_and_nothing_runs_twice(vhost_uri, serve, book, mode):
    config = {"SHUTDOWN_TIMEOUT": SHUTDOWN_TIMEOUT, "SHUTDOWN_MODE": mode}
    durations = []
    with hosted({"AMQP_URI": vhost_uri}) as services:
        process = serve(vhost_uri, **config)
        load = EveryLoad(services, serve.port)
        for _ in range(STOPS):
            before = {kind: len(numbers) for kind, numbers in load.answered.items()}
            wait_until(lambda b=before: all(len(load.answered[k]) > b[k] for k in b), seconds=20)
            code, seconds = stop(process)
            durations.append(seconds)
            assert code == 0, process.errors
            process = serve(vhost_uri, **config)
        load.end()
        for kind in QUEUED:
            wait_until(lambda kind=kind: set(load.asked[kind]) <= set(book.counts(kind)))
        assert stop(process)[0] == 0

    print(f"{STOPS} stops, {mode}: {max(durations):.2f} s the longest")
    assert load.failed == []
    assert max(durations) < SHUTDOWN_TIMEOUT + 1
    for kind in ("call", "lane", "http", *QUEUED, "broadcast", "tick"):
        assert twice(book, kind) == [], kind
        assert book.counts(f"{kind}-began").keys() == book.counts(kind).keys(), kind
    for kind, numbers in load.answered.items():
        assert set(numbers) == set(book.counts(kind)), kind
    assert not set(load.unanswered) & set(book.counts("http-began"))


def test_after_many_kills_everything_comes_back_and_nothing_is_lost(vhost_uri, serve, book):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        process = serve(vhost_uri)
        load = EveryLoad(services, serve.port)
        for _ in range(STOPS):
            before = len(load.answered["call"])
            wait_until(lambda b=before: len(load.answered["call"]) > b + 5, seconds=20)
            process.process.kill()
            process.wait()
            process = serve(vhost_uri)
        load.end()
        for kind in QUEUED:
            wait_until(
                lambda kind=kind: set(load.asked[kind]) <= set(book.counts(kind)), seconds=20
            )
        assert stop(process)[0] == 0

    assert load.failed == []
    for kind in ("call", "lane"):
        assert set(load.asked[kind]) == set(load.answered[kind]), kind
