"""The randomised run, in short; and its judge, which must not overlook anything."""

import itertools
import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.cli.conftest import PROJECT
from tests.faults.random_run.history import History
from tests.faults.random_run.verdict import judge, leaks

# This seed begins with what takes little time: a service and a broker that are killed, a service
# that is stopped, a deleted queue, connections that are closed, dead letters that are replayed.
SEED = "7783"
SECONDS = 14  # of faults; start, warm-up and end take another 20
CALL = "client-1.5.call-1"
EVENT = "client-1.5.announce-1"


@pytest.mark.timeout(240)
def test_random_faults_break_no_promise(tmp_path):
    options = ["--seed", SEED, "--seconds", str(SECONDS), "--folder", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.random_run", *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=220,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["problems"] == []
    assert result["totals"]["calls"]["right"] > 100
    assert result["totals"]["sendings"]["confirmed"] > 100
    assert len(result["totals"]["by fault"]) > 2


class Ledger:
    """A history that a test writes; each record is one second later than the last."""

    def __init__(self):
        self.history = History()
        self.dead = Counter()
        self._clock = itertools.count(100)

    def note(self, what, process="client-1.5", **facts):
        own = {"process": process, "at": next(self._clock), "starved": 0.0, "connection": 1}
        self.history.add([{"what": what, **own, **facts}])

    def problems(self):
        return judge(self.history, self.dead)

    def call(self, outcome="right", *, timeout=5.0, runs=(False,), method="echo"):
        self.note("called", call=CALL, method=method, timeout=timeout)
        for redelivered in runs:
            self.note("run", process="shop-1.6", call=CALL, redelivered=redelivered)
        self.note("ended", call=CALL, outcome=outcome, detail="")

    def send(self, outcome="confirmed", *, attempt=0, kind="happened", delay=0):
        self.note("sent", event=EVENT, kind=kind, attempt=attempt, timeout=5.0, delay=delay)
        self.note("sending ended", event=EVENT, attempt=attempt, outcome=outcome, detail="")

    def handle(self, *handlers, redelivered=False, **more):
        for handler in handlers or ("shop.handle", "audit.handle"):
            facts = {"event": EVENT, "handler": handler, "redelivered": redelivered, **more}
            self.note("handling", process="shop-1.6", **facts)
            self.note("handled", process="shop-1.6", **facts)

    def delete(self, queue, author=""):
        self.note("deleting", queue=queue, author=author)
        self.note("deleted", queue=queue, author=author)


@pytest.fixture
def ledger():
    return Ledger()


def test_nothing_is_wrong_with_what_went_well(ledger):
    ledger.call()
    ledger.send()
    ledger.handle()

    assert ledger.problems() == []


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"outcome": "wrong"}, "ended as wrong"),
        ({"outcome": "KeyError"}, "ended as KeyError"),
        ({"outcome": "ConnectionLost"}, "ended as ConnectionLost"),
        ({"outcome": "UnknownService"}, "ended as UnknownService"),
        ({"runs": ()}, "answered and never run"),
        ({"timeout": 0.5}, "ended 1.50 s after its timeout of 0.5 s"),
    ],
)
def test_call_that_went_wrong_is_found(ledger, call, problem):
    ledger.call(**call)

    (found,) = ledger.problems()
    assert problem in found


def test_call_that_was_run_twice_and_may_have_been_sent_twice_is_found(ledger):
    ledger.note("called", call=CALL, method="echo", timeout=9.0)
    for _ in range(2):
        ledger.note("run", call=CALL, redelivered=False)
    ledger.note("ended", call=CALL, outcome="right", detail="", connection=2)

    (found,) = ledger.problems()
    assert "was run 2 times without being marked as redelivered" in found
    ledger.history.calls[CALL].connections.remove(2)
    assert ledger.problems() == []


def test_call_that_has_never_ended_is_found_unless_its_caller_was_killed(ledger):
    ledger.note("called", call=CALL, method="echo", timeout=5.0)

    assert ledger.problems() == [f"call {CALL} of echo has never ended"]
    ledger.note("gone", author="client-1.5", how="killed")
    assert ledger.problems() == []


def test_call_that_was_run_long_after_its_deadline_is_found(ledger):
    ledger.call("RpcTimeout", timeout=2.0, runs=())
    for _ in range(5):
        ledger.note("settled")
    ledger.note("run", call=CALL, redelivered=True)

    (found,) = ledger.problems()
    assert "was run 7.0 s after its begin" in found


def test_call_that_failed_although_everything_had_settled_is_found(ledger):
    ledger.note("settled")
    ledger.call("RpcTimeout")

    (found,) = ledger.problems()
    assert "failed after everything had settled" in found


def test_late_call_is_excused_by_what_kept_its_process_from_running(ledger):
    ledger.note("called", call=CALL, method="echo", timeout=0.5)
    ledger.note("run", call=CALL, redelivered=False)
    ledger.note("hogging", author="client-1.5")
    ledger.note("hogged", author="client-1.5")
    ledger.note("ended", call=CALL, outcome="RpcTimeout", detail="", starved=0.5)

    assert "ended 2.00 s after its timeout" in ledger.problems()[0]
    ledger.history.calls[CALL].starved = 1.5
    assert ledger.problems() == []
    ledger.history.calls[CALL].starved = 0
    ledger.history.hogs[0].begun -= 2
    assert ledger.problems() == []


@pytest.mark.parametrize(
    ("outcome", "queue", "author"),
    [
        ("ConnectionLost", "rpc.reply-client-1", "client-1.5"),
        ("UnknownService", "rpc-shop", ""),
    ],
)
def test_call_that_saw_its_queue_deleted_may_say_so(ledger, outcome, queue, author):
    ledger.note("called", call=CALL, method="echo", timeout=5.0)
    ledger.delete(queue, author)
    ledger.note("ended", call=CALL, outcome=outcome, detail="")

    assert ledger.problems() == []


def test_confirmed_event_that_one_handler_lacks_is_found(ledger):
    ledger.send()
    ledger.handle("shop.handle")

    (found,) = ledger.problems()
    assert "was confirmed and lost: audit.handle has not handled it" in found


def test_confirmed_event_that_failed_and_is_not_in_the_dead_queue_is_found(ledger):
    ledger.send(kind="failing")
    ledger.note("handling", event=EVENT, handler="shop.fail", redelivered=False)
    assert "lost: shop.fail has not handled it" in ledger.problems()[0]

    ledger.handle("shop.fail", attempt=2)
    assert "lost: it failed, and is not in the dead queue" in ledger.problems()[0]
    ledger.dead[EVENT] += 1
    assert ledger.problems() == []
    ledger.dead.clear()
    ledger.handle("shop.fail", replayed=True)
    assert ledger.problems() == []


def test_order_that_nobody_heard_of_is_found(ledger):
    ledger.call(method="order")

    assert "returned, and its event was lost" in ledger.problems()[0]
    assert ledger.history.uneven(before=200)
    ledger.note("told", call=CALL, redelivered=False)
    assert ledger.problems() == []
    assert not ledger.history.uneven(before=200)
    ledger.note("told", call=CALL, redelivered=True)
    assert ledger.problems() == []
    ledger.note("told", call=CALL, redelivered=False)
    assert "was run 1 times, its event heard 3 times" in ledger.problems()[0]


def test_order_that_failed_and_was_heard_of_is_found(ledger):
    ledger.call(method="cancel")
    ledger.note("told", call=CALL, redelivered=False)

    assert "failed, and its event was heard 1 times" in ledger.problems()[0]


def test_order_may_fail_with_what_kept_its_event_from_being_confirmed(ledger):
    ledger.call("RemoteError ConnectionLost", method="order")
    assert ledger.problems() == []

    ledger.history.calls[CALL].method = "echo"
    assert "ended as RemoteError ConnectionLost" in ledger.problems()[0]


def test_late_event_that_came_early_is_found(ledger):
    ledger.send(kind="late", delay=3.5)
    ledger.handle("shop.receive")

    assert "was handled 1.500 s before it was due" in ledger.problems()[0]
    ledger.history.events[EVENT].delay = 2.0
    assert ledger.problems() == []


def test_event_that_was_sent_while_its_queue_was_away_is_excused(ledger):
    ledger.note("even ledger", before=100)
    ledger.note("deleting", queue="evt-client-happened--audit.handle")
    ledger.send()
    ledger.note("deleted", queue="evt-client-happened--audit.handle")
    ledger.handle("shop.handle")

    assert ledger.problems() == []


def test_event_is_not_excused_by_the_queue_of_another_handler(ledger):
    ledger.send()
    ledger.delete("evt-client-happened--audit.handle")
    ledger.handle("audit.handle")

    (found,) = ledger.problems()
    assert "lost: shop.handle" in found


def test_event_that_was_lost_before_its_queue_was_deleted_is_found(ledger):
    ledger.send()
    ledger.note("even ledger", before=102)
    ledger.delete("evt-client-happened--audit.handle")
    ledger.handle("shop.handle")

    (found,) = ledger.problems()
    assert "lost: audit.handle" in found


def test_event_that_was_sent_when_its_queue_was_there_again_is_not_excused(ledger):
    ledger.delete("evt-client-happened--audit.handle")
    ledger.send()
    ledger.handle("shop.handle")

    (found,) = ledger.problems()
    assert "lost: audit.handle" in found


def test_event_is_excused_whose_binding_a_killed_broker_may_have_forgotten(ledger):
    ledger.delete("evt-client-happened--audit.handle")
    ledger.note("fault begins", kind="broker_killed")
    ledger.note("fault ended", kind="broker_killed", detail="")
    ledger.send()
    ledger.handle("shop.handle")
    assert ledger.problems() == []

    ledger.history.faults[0].begun += 10
    (found,) = ledger.problems()
    assert "lost: audit.handle" in found


def test_late_event_may_come_twice_only_from_a_broker_that_was_killed_just_then(ledger):
    ledger.send(kind="late")
    ledger.handle("shop.receive")
    ledger.note("fault begins", kind="broker_killed")
    ledger.note("fault ended", kind="broker_killed", detail="")
    ledger.handle("shop.receive")
    assert ledger.problems() == []

    ledger.history.faults[0].begun += 10
    assert "2 times not marked as something again" in ledger.problems()[0]


def test_duplicate_is_found_unless_it_is_marked_or_was_sent_twice(ledger):
    ledger.send("ConnectionLost")
    ledger.handle()
    ledger.handle(redelivered=True)
    assert ledger.problems() == []

    ledger.send(attempt=1)
    ledger.handle()
    assert ledger.problems() == []

    ledger.handle("audit.handle")
    (found,) = ledger.problems()
    assert "was begun by audit.handle 4 times, 3 times not marked" in found


def test_event_that_was_handled_although_nothing_was_sent_is_found(ledger):
    ledger.send("BrokerUnavailable")
    ledger.handle("audit.handle", redelivered=True)

    (found,) = ledger.problems()
    assert "0 of 1 sendings can have got through" in found


def test_sending_that_took_too_long_or_never_ended_is_found(ledger):
    ledger.note("sent", event=EVENT, kind="happened", attempt=0, timeout=0.5)
    assert "has never ended" in ledger.problems()[0]

    ledger.note("settled")
    ledger.note("sending ended", event=EVENT, attempt=0, outcome="PublishTimeout", detail="")
    (found,) = ledger.problems()
    assert "ended 1.50 s after its timeout of 0.5 s" in found


def test_growth_and_what_is_open_at_rest_are_leaks():
    before = {"sockets": 6, "files": 9, "green threads": 5, "objects": 1000, "resident": 1}
    after = {**before, "sockets": 7, "busy": {"calls": 1, "outbox": 0}}

    assert list(leaks(before, after)) == [
        "7 sockets, 6 after the warm-up",
        "1 calls are open at rest",
    ]
