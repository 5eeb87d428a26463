"""Calls between Nameko and rpcnode: what a caller sees does not tell whom it has called."""

import json
import uuid

import kombu
import pytest

from tests.fleet.members import NEW, OLD, SIDES
from tests.hosting import wait_until

pytestmark = pytest.mark.timeout(180)  # Nameko's environment may have to be made

LARGE = "ä" * 300_000
CONTEXT = {
    "language": "fr",
    "user_id": 7,
    "auth_token": "secret",
    "user_agent": "curl",
    "tenant": "north",
}
ARGUMENTS = [
    ([], {}),
    ([1, 2.5, True, None, "grüße"], {"key": {"nested": [1, [2, {"three": 3}]]}}),
    ([LARGE], {}),
]
# What goes wrong, and the class that the caller sees.
WRONG_CALLS = {
    "unknown-method": ("absent", [], "MethodNotFound"),
    "too-few-arguments": ("strict", [], "IncorrectSignature"),
    "too-many-arguments": ("strict", [1, 2, 3], "IncorrectSignature"),
}
FAILURES = {
    "a-known-error": ("fail", ["known"], "SoldOut"),
    "an-unknown-error": ("fail", ["unknown"], "RemoteError"),
    "a-built-in-error": ("fail", ["built-in"], "RemoteError"),
    "an-error-without-text": ("fail", ["not even text"], "RemoteError"),
    "an-error-in-unicode": ("fail", ["other"], "RemoteError"),
}


@pytest.fixture(scope="module")
def talking(fleet):
    """A fleet with a desk and a front at each side."""
    for side in SIDES:
        fleet.host(side, "desk", f"rpc-desk-{side}", f"rpc-front-{side}")
    return fleet


@pytest.fixture
def ask(talking, services):
    """Return a function that makes the front of one side call the desk of another."""

    def call(caller, callee, method, *args, **kwargs):
        return services.rpc[f"front-{caller}"].call(callee, method, args, kwargs)

    return call


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=["none", "of-all-types", "large"])
def test_call_and_reply_arrive_whole(ask, caller, callee, arguments):
    args, kwargs = arguments

    outcome = ask(caller, callee, "echo", *args, **kwargs)

    assert outcome == {"result": {"args": args, "kwargs": kwargs}}


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
def test_results_of_asynchronous_calls_can_be_asked_for_in_any_order(
    talking, services, caller, callee
):
    results = services.rpc[f"front-{caller}"].call_many(callee, 20)

    numbers = [result["args"][0] for result in results]
    assert numbers == [*reversed(range(20)), 0]


@pytest.mark.parametrize("caller", SIDES)
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_caller_sees_the_same_failure_from_either_side(ask, caller, failure):
    method, args, expected = failure

    from_old = ask(caller, OLD, method, *args)
    from_new = ask(caller, NEW, method, *args)

    assert from_old["error"] == expected
    assert from_new == from_old


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
@pytest.mark.parametrize("wrong", WRONG_CALLS.values(), ids=WRONG_CALLS.keys())
def test_wrong_call_is_told_by_the_same_class_at_either_side(ask, caller, callee, wrong):
    method, args, expected = wrong

    outcome = ask(caller, callee, method, *args)

    # The texts differ: rpcnode's name the service, too.
    assert outcome["error"] == expected


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
def test_error_of_an_asynchronous_call_comes_with_its_result_each_time(
    talking, services, caller, callee
):
    outcomes = services.rpc[f"front-{caller}"].fail_later(callee, "known")

    assert outcomes == [{"error": "SoldOut", "args": ["pears", "3"]}] * 2


@pytest.mark.parametrize("caller", SIDES)
def test_service_that_nobody_hosts_is_unknown_at_either_side(ask, caller):
    outcome = ask(caller, "nobody", "method")

    assert (outcome["error"], outcome["args"][0]) == ("UnknownService", "nobody")


def test_nameko_sees_a_result_that_cannot_be_sent_as_its_own_service_would_say_it(ask):
    from_old, from_new = (ask(OLD, callee, "unsendable") for callee in SIDES)

    for outcome in (from_old, from_new):
        assert (outcome["error"], outcome["exc_type"]) == (
            "RemoteError",
            "UnserializableValueError",
        )
        assert outcome["value"].startswith("Unserializable value: `{'value': <method-wrapper")


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
def test_argument_that_cannot_be_sent_leaves_the_next_call_alone(
    talking, services, ask, caller, callee
):
    outcome = services.rpc[f"front-{caller}"].call_with_unsendable(callee)

    assert "error" in outcome
    assert ask(caller, callee, "echo", 1) == {"result": {"args": [1], "kwargs": {}}}


@pytest.mark.parametrize("callee", SIDES)
def test_rpcnode_sees_a_result_that_cannot_be_sent_as_the_error_that_it_is(ask, callee):
    outcome = ask(NEW, callee, "unsendable")

    assert outcome["error"] == "UnserializableValueError"
    assert outcome["args"][0].startswith("{'value': <method-wrapper")


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
def test_context_data_and_the_call_stack_travel_on(talking, services, caller, callee):
    front = services.dependency("rpc", context_data=CONTEXT)[f"front-{caller}"]

    seen = front.call(callee, "context")["result"]

    assert seen["known"] == ["fr", 7, "secret", "curl"]
    assert seen["data"] == CONTEXT
    names = [call_id.rpartition(".")[0] for call_id in seen["stack"]]
    assert names == ["caller.method", f"front-{caller}.call", f"desk-{callee}.context"]


@pytest.mark.parametrize("callee", SIDES)
@pytest.mark.parametrize("caller", SIDES)
def test_call_stack_keeps_the_last_eleven_calls(talking, services, caller, callee):
    earlier = [f"earlier.call.{number}" for number in range(20)]
    context = {"call_id_stack": earlier}
    front = services.dependency("rpc", context_data=context)[f"front-{caller}"]

    stack = front.call(callee, "context")["result"]["stack"]

    assert len(stack) == 11
    assert stack[0] == "earlier.call.12"
    assert stack[-1].startswith(f"desk-{callee}.context.")


def test_nameko_loses_the_class_of_an_error_from_further_away_and_rpcnode_does_not(ask):
    beyond_old, beyond_new = (ask(OLD, callee, "fail_beyond", "unknown") for callee in SIDES)

    assert (beyond_old["error"], beyond_old["exc_type"]) == ("RemoteError", "RemoteError")
    assert (beyond_new["error"], beyond_new["exc_type"]) == ("RemoteError", "Unknown")
    assert beyond_old["value"] == f"Unknown {beyond_new['value']}"


MALFORMED = [
    b"{}",
    b'{"args": []}',
    b'{"kwargs": {}}',
    b'{"args": [], "kwargs": {}, "more": 1}',
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: body.decode())
def test_request_that_no_proxy_would_send_gets_the_same_reply_from_either_side(talking, body):
    replies = [reply_to(talking.uri, f"desk-{side}.echo", body) for side in SIDES]

    assert replies[1] == replies[0]


def reply_to(uri, key, body):
    """Send a request with this body; return its reply as it came."""
    exchange = kombu.Exchange("nameko-rpc", type="topic", durable=True)
    address = str(uuid.uuid4())
    with kombu.Connection(uri) as connection:
        channel = connection.channel()
        queue = kombu.Queue(address, exchange, address, exclusive=True)(channel)
        queue.declare()
        channel.Producer().publish(
            body,
            key,
            exchange=exchange,
            content_type="application/json",
            content_encoding="utf-8",
            reply_to=address,
            correlation_id="the request",
        )
        reply = wait_until(queue.get)
        assert reply.properties["correlation_id"] == "the request"
        return json.loads(reply.body)
