"""One service with an instance on Nameko and one on rpcnode: together, and one after the other."""

import subprocess
from collections import Counter

import pytest

from tests.fleet.members import NEW, OLD, SIDES
from tests.hosting import wait_until

pytestmark = pytest.mark.timeout(180)  # Nameko's environment may have to be made

CALLS = 1000  # from each side
LOOPS = 8  # that call at a time, at each side
PATIENCE = 90  # seconds; machines may be busy
GRACE = {OLD: 10, NEW: 30}  # seconds for a stop
QUEUES = ["rpc-stock", *(f"evt-buyer-{side}-bought--stock.count" for side in SIDES)]


@pytest.fixture(scope="module")
def buying(fleet):
    """A fleet with a buyer at each side."""
    for side in SIDES:
        fleet.host(side, "buyer", f"rpc-buyer-{side}")
    return fleet


class Buyers:
    """Loops at both sides that buy until they are told to end."""

    def __init__(self, fleet, services, loops=LOOPS // 2):
        self._fleet = fleet
        self._flag = fleet.folder / "it is enough"
        self._flag.unlink(missing_ok=True)
        self._replies = [
            services.rpc[f"buyer-{side}"]
            .buy_until.with_options(timeout=PATIENCE)
            .call_async(f"{side}-{number}", str(self._flag))
            for side in SIDES
            for number in range(loops)
        ]

    def go_on(self, side, count=50):
        """Wait until `side` has done that much more, of calls and of events."""
        for kind in ("call", "event"):
            before = self._done(kind, side)
            wait_until(lambda k=kind, b=before: self._done(k, side) >= b + count, PATIENCE)

    def _done(self, kind, side):
        return sum(note["side"] == side for note in self._fleet.notes(kind))

    def end(self):
        """Let each loop finish what it is at; return what came of them."""
        self._flag.touch()
        return [reply.result() for reply in self._replies]


def names(fleet, kind):
    """Return how often each call or event was noted."""
    return Counter(note["name"] for note in fleet.notes(kind))


def failures(outcomes):
    """Return what went wrong with calls."""
    return [failure for each in outcomes for failure in each["failed"]]


def assert_all_done(fleet, outcomes):
    """Wait until each event is handled; each call was answered, so it was run."""
    dispatched = {name for each in outcomes for name in each["dispatched"]}
    wait_until(lambda: dispatched <= names(fleet, "event").keys(), PATIENCE)
    assert names(fleet, "call").keys() == dispatched


def run_again_after(fleet, side):
    """Return the calls and events that were run more than once, first by `side`."""
    first, again = {}, []
    for note in [*fleet.notes("call"), *fleet.notes("event")]:
        work = (note["kind"], note["name"])
        if work in first and first[work] == side:
            again.append(work)
        first.setdefault(work, note["side"])
    return again


def stop(member, side):
    """Stop a member in good order."""
    member.process.terminate()
    await_end(member, side)


def await_end(member, side):
    """Wait until a member that was told to stop has ended.

    Nameko's stop waits for ever once in twenty times under load: all work is done, but the pool
    of its workers does not notice. Then it is killed, as process managers do.
    """
    try:
        assert member.process.wait(GRACE[side]) == 0, member.errors
    except subprocess.TimeoutExpired:
        assert side == OLD, member.errors
        member.kill()


def test_instances_on_both_share_the_calls_of_both(buying, services):
    instances = {side: buying.host(side, "stock", *QUEUES) for side in SIDES}

    replies = [
        services.rpc[f"buyer-{side}"]
        .buy.with_options(timeout=PATIENCE)
        .call_async(f"{side}-{loop}", CALLS // LOOPS)
        for side in SIDES
        for loop in range(LOOPS)
    ]
    outcomes = [reply.result() for reply in replies]

    for side, instance in instances.items():
        stop(instance, side)
    assert failures(outcomes) == []
    answered = Counter()
    for each in outcomes:
        answered.update(each["answered"])
    assert answered.total() == len(SIDES) * CALLS
    assert min(answered[side] for side in SIDES) > CALLS // 10
    done = names(buying, "call")
    assert len(done) == len(SIDES) * CALLS
    assert set(done.values()) == {1}


def test_twin_takes_over_under_load_and_hands_back(buying, services):
    buying.forget()
    first = buying.host(OLD, "stock", *QUEUES)
    buyers = Buyers(buying, services)
    buyers.go_on(OLD)

    twin = buying.host(NEW, "stock", *QUEUES)
    stop(first, OLD)
    buyers.go_on(NEW)
    last = buying.host(OLD, "stock", *QUEUES)
    stop(twin, NEW)
    buyers.go_on(OLD)
    outcomes = buyers.end()

    assert failures(outcomes) == []
    assert_all_done(buying, outcomes)
    stop(last, OLD)
    assert run_again_after(buying, NEW) == []


def test_killed_instance_of_either_side_costs_no_call_and_no_event(buying, services):
    buying.forget()
    old, new = (buying.host(side, "stock", *QUEUES) for side in SIDES)
    buyers = Buyers(buying, services)
    buyers.go_on(NEW)

    new.kill()
    buyers.go_on(OLD)
    new = buying.host(NEW, "stock", *QUEUES)
    buyers.go_on(NEW)
    old.kill()
    buyers.go_on(NEW)
    outcomes = buyers.end()

    assert failures(outcomes) == []
    assert_all_done(buying, outcomes)
    stop(new, NEW)


@pytest.mark.parametrize("side", SIDES)
def test_work_under_way_at_a_stop_is_run_again_after_nameko_s_and_not_after_ours(
    buying, services, side
):
    flag = buying.folder / f"work of {side} may end"
    member = buying.host(side, "stock", "rpc-stock")
    stock = services.rpc.stock.wait_for.with_options(timeout=PATIENCE)
    reply = stock.call_async(str(flag))
    wait_until(lambda: started(buying, flag) == [side], PATIENCE)
    (other,) = set(SIDES) - {side}
    twin = buying.host(other, "stock", "rpc-stock")

    member.process.terminate()
    if side == OLD:
        wait_until(lambda: started(buying, flag) == [OLD, NEW], PATIENCE)
    wait_until(lambda: buying.consumers("rpc-stock") == 1, PATIENCE)
    flag.touch()
    answered = reply.result()

    await_end(member, side)
    stop(twin, other)
    assert answered in (side, NEW)
    assert started(buying, flag) == ([OLD, NEW] if side == OLD else [NEW])


def started(fleet, flag):
    """Return which sides have begun some work."""
    return [note["side"] for note in fleet.notes("start") if note["name"] == str(flag)]
