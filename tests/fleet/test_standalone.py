"""Programs that are no services: Nameko's clients with rpcnode's services, and the other way."""

import json

import pytest

from tests.fleet.members import SIDES
from tests.hosting import wait_until

pytestmark = pytest.mark.timeout(180)  # Nameko's environment may have to be made

CONTEXT = {"language": "fr", "user_id": 7, "auth_token": "secret", "tenant": "north"}


@pytest.fixture(scope="module")
def hosting(fleet):
    """A fleet with the services of both sides.

    Here rpcnode comes first, elsewhere Nameko: each accepts what the other has declared.
    """
    for side in reversed(SIDES):
        fleet.host(side, "desk", f"rpc-desk-{side}", f"rpc-front-{side}")
    return fleet


@pytest.fixture(scope="module", params=SIDES)
def program(request, hosting):
    """A side, and what its program saw."""
    member = hosting.run(request.param, "program.py")
    assert member.wait() == 0, member.errors
    return request.param, json.loads(member.output)


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("client", ["cluster", "service"])
def test_program_gets_replies_and_errors_from_either_side(program, client, callee):
    _, seen = program

    asked = seen[client][callee]

    assert asked["echo"] == {
        "result": {"args": ["grüße"], "kwargs": {"key": {"nested": [1, None]}}}
    }
    assert asked["in any order"] == list(reversed(range(10)))
    sold_out = {"error": "SoldOut", "args": ["pears", "3"]}
    assert (asked["known"], asked["known later"]) == (sold_out, sold_out)
    assert asked["unknown"]["error"] == "RemoteError"
    assert asked["unknown"]["exc_type"] == "Unknown"
    assert (asked["absent"], asked["wrong"]) == ("MethodNotFound", "IncorrectSignature")
    assert asked["after all"] == {"result": {"args": [], "kwargs": {}}}


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("client", ["cluster", "service"])
def test_context_data_of_a_program_travels(program, client, callee):
    _, seen = program

    context = seen[client][callee]["context"]

    assert context["known"] == ["fr", 7, "secret", None]
    assert {key: value for key, value in context["data"].items() if value} == CONTEXT
    caller, called = context["stack"]
    assert caller.startswith("standalone_rpc_proxy.call.")
    assert called.startswith(f"desk-{callee}.context.")


def test_program_stops_waiting_and_is_told_who_is_unknown(program):
    _, seen = program

    assert seen["too long"] == ["RpcTimeout", "RpcTimeout"]
    assert seen["nobody"] == "UnknownService"


@pytest.mark.parametrize("kind", ["pool", "single"])
def test_events_of_a_program_are_handled_once_whoever_handles_them(hosting, program, kind):
    side, _ = program

    def seen():
        return [note for note in hosting.notes(kind) if note["from"] == f"program-{side}"]

    wait_until(lambda: len(seen()) >= 10)
    assert sorted(note["number"] for note in seen()) == list(range(10))
    assert {note["side"] for note in seen()} == set(SIDES)
