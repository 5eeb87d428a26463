"""Events between Nameko and rpcnode: each handler type gets what it should, whoever dispatches."""

from collections import Counter

import pytest

from tests.fleet.members import NEW, OLD, SIDES
from tests.hosting import wait_until

pytestmark = pytest.mark.timeout(180)  # Nameko's environment may have to be made

NUMBERS = list(range(20))
QUEUES = [
    *(f"evt-front-{side}-happened--pool.handle" for side in SIDES),
    *(f"evt-front-{side}-happened_once" for side in SIDES),
]


@pytest.fixture(scope="module")
def listening(fleet):
    """A fleet with all handlers at each side."""
    for side in SIDES:
        fleet.host(side, "desk", f"rpc-front-{side}", *QUEUES)
    return fleet


def announced(fleet, services, source, event_type, kind, count):
    """Dispatch the events of one side; return who noted which, when `count` notes are there."""

    def seen():
        notes = [note for note in fleet.notes(kind) if note["from"] == source]
        return [note for note in notes if note["number"] in NUMBERS]

    services.rpc[f"front-{source}"].announce(event_type, NUMBERS)
    wait_until(lambda: len(seen()) >= count)
    return seen()


@pytest.mark.parametrize("source", SIDES)
def test_pool_handles_each_event_once_and_both_sides_take_part(listening, services, source):
    notes = announced(listening, services, source, "happened", "pool", len(NUMBERS))

    assert sorted(note["number"] for note in notes) == NUMBERS
    assert {note["side"] for note in notes} == {OLD, NEW}


@pytest.mark.parametrize("source", SIDES)
def test_singleton_handles_each_event_once_whatever_its_service(listening, services, source):
    notes = announced(listening, services, source, "happened_once", "single", len(NUMBERS))

    assert sorted(note["number"] for note in notes) == NUMBERS
    assert {note["side"] for note in notes} == {OLD, NEW}


@pytest.mark.parametrize("source", SIDES)
def test_broadcast_reaches_every_instance(listening, services, source):
    wait_until(lambda: probed(listening, services, source) == set(SIDES))

    count = len(NUMBERS) * len(SIDES)
    notes = announced(listening, services, source, "happened_everywhere", "everyone", count)

    seen = Counter((note["side"], note["number"]) for note in notes)
    assert seen == Counter((side, number) for side in SIDES for number in NUMBERS)


def probed(fleet, services, source):
    """Dispatch one more event; return the sides that have heard one: their queues are there."""
    services.rpc[f"front-{source}"].announce("happened_everywhere", ["probe"])
    notes = fleet.notes("everyone")
    return {n["side"] for n in notes if (n["from"], n["number"]) == (source, "probe")}


@pytest.mark.parametrize("source", SIDES)
def test_handler_sees_context_data_and_the_call_stack(listening, services, source):
    front = services.dependency("rpc", context_data={"language": "fr"})[f"front-{source}"]
    front.announce("happened", ["with context", "with context"])

    def seen():
        return [note for note in listening.notes("pool") if note["number"] == "with context"]

    wait_until(lambda: len([note for note in seen() if note["from"] == source]) == 2)
    for note in seen():
        assert note["data"]["language"] == "fr"
        names = [call_id.rpartition(".")[0] for call_id in note["stack"]]
        assert names == ["caller.method", f"front-{note['from']}.announce", "pool.handle"]
