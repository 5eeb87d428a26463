"""The ways to call, and what comes back."""

import pytest

from examples.rpc import Billing, Desk, Office, Payments, Reports
from rpcnode.concurrency import spawn
from rpcnode.exceptions import DeadlineExceeded, RpcTimeout, UnknownService
from rpcnode.testing import entrypoint_hook, entrypoint_waiter
from rpcnode.utils import get_redacted_args


@pytest.fixture
def runner(runner_factory, memory_config):
    runner = runner_factory(memory_config, Billing, Desk)
    runner.start()
    return runner


@pytest.fixture
def call(runner):
    def call_desk(method_name, *args):
        with entrypoint_hook(runner.service_map["desk"], method_name, timeout=10) as method:
            return method(*args)

    return call_desk


@pytest.mark.parametrize(
    ("method_name", "args", "expected"),
    [
        ("bill", ([2, 3],), 6),
        ("bill_quickly", ([2, 3],), 5),
        ("bill_all", ([[2, 3], [4]],), [5, 4]),
        ("ask", ("billing", [2, 3]), 5),
        ("charge", (7,), {"charged": 7}),
    ],
)
def test_calls_return_the_result_of_the_method(call, method_name, args, expected):
    result = call(method_name, *args)

    assert result == expected


def test_a_registered_exception_arrives_as_itself(call):
    answer = call("charge", -1)

    assert answer.startswith("refused: -1")


def test_any_other_exception_arrives_as_a_remote_error(call):
    answer = call("charge", "a lot")

    assert answer.startswith("failed: TypeError: '<' not supported")


def test_a_cast_returns_before_the_method_is_done(runner, call):
    billing = runner.service_map["billing"]

    with entrypoint_waiter(billing, "charge", timeout=5) as charge:
        answer = call("charge_later", 7)

    assert answer is None
    assert charge.get() == {"charged": 7}


def test_a_call_to_nobody_is_an_error_that_names_it(call):
    with pytest.raises(UnknownService) as error:
        call("ask", "nobody", [1])

    assert "nobody" in str(error.value)


def test_a_method_past_its_timeout_is_interrupted_and_its_caller_told(runner):
    billing = runner.service_map["billing"]

    with (
        entrypoint_waiter(billing, "reserve", timeout=5) as reserve,
        entrypoint_hook(runner.service_map["desk"], "reserve") as call,
        pytest.raises(RpcTimeout),
    ):
        call({"number": "1234"}, 10)

    with pytest.raises(DeadlineExceeded):
        reserve.get()


def test_a_sensitive_argument_is_not_shown(runner):
    entrypoint = next(
        each for each in runner.service_map["billing"].entrypoints if each.method_name == "reserve"
    )

    shown = get_redacted_args(entrypoint, {"owner": "Ada", "number": "1234"}, amount=10)

    assert shown["card"] == {"owner": "Ada", "number": "********"}


@pytest.fixture
def office(runner_factory, memory_config):
    runner = runner_factory(memory_config, Reports, Payments, Office)
    runner.start()

    def call(method_name, *args):
        with entrypoint_hook(runner.service_map["office"], method_name, timeout=10) as method:
            return method(*args)

    return call


def test_a_full_lane_turns_calls_away(office):
    calls = [spawn(office, "report", 2024) for _ in range(4)]

    answers = [call.wait() for call in calls]

    assert sorted(answers) == ["ask again later"] * 2 + ["the report of 2024"] * 2


def test_a_patient_caller_gets_what_it_wants(office):
    calls = [spawn(office, "report_in_the_end", 2024) for _ in range(4)]

    assert [call.wait() for call in calls] == ["the report of 2024"] * 4


def test_an_idempotent_method_is_called_as_any_other(office):
    assert office("set_limit", 5) == {"limit": 5}
