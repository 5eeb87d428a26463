"""The worker context and its headers."""

import logging
import subprocess
import sys
import time
import weakref
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnode import context
from rpcnode.context import (
    WorkerContext,
    context_from_headers,
    deadline_from_headers,
    deadline_headers,
    headers_from_context,
    new_call_id,
)


def make_context(data=None, config=None, **options):
    container = SimpleNamespace(service_name="shop", config=config or {})
    return WorkerContext(
        container, None, SimpleNamespace(method_name="buy"), (), {}, data, **options
    )


def test_call_id_names_service_and_method():
    worker_ctx = make_context(unique_id="7")

    assert worker_ctx.call_id == "shop.buy.7"
    assert worker_ctx.service_name == "shop"


def test_context_without_a_caller_is_its_own_origin():
    worker_ctx = make_context()

    assert worker_ctx.call_id_stack == [worker_ctx.call_id]
    assert worker_ctx.origin_call_id == worker_ctx.call_id
    assert worker_ctx.immediate_parent_call_id is None


def test_call_id_is_put_on_the_stack_of_the_caller():
    worker_ctx = make_context({"call_id_stack": ["web.go.1", "cart.pay.2"]}, unique_id="3")

    assert worker_ctx.call_id_stack == ["web.go.1", "cart.pay.2", "shop.buy.3"]
    assert worker_ctx.origin_call_id == "web.go.1"
    assert worker_ctx.immediate_parent_call_id == "cart.pay.2"


def test_stack_keeps_as_many_parents_as_configured():
    parents = [f"service.method.{number}" for number in range(9)]

    worker_ctx = make_context({"call_id_stack": parents}, {"PARENT_CALLS_TRACKED": 2})

    assert worker_ctx.call_id_stack == [*parents[-2:], worker_ctx.call_id]


def test_stack_is_the_own_call_alone_when_no_parents_are_tracked():
    worker_ctx = make_context({"call_id_stack": ["a"]}, {"PARENT_CALLS_TRACKED": 0})

    assert worker_ctx.call_id_stack == [worker_ctx.call_id]


def test_context_data_is_live_and_has_the_stack():
    worker_ctx = make_context({"language": "en"})

    worker_ctx.context_data["user_id"] = 7

    assert worker_ctx.data == {
        "language": "en",
        "user_id": 7,
        "call_id_stack": worker_ctx.call_id_stack,
    }


def test_data_of_who_makes_the_context_is_not_changed():
    data = {"call_id_stack": ["a"]}

    make_context(data).context_data["user_id"] = 7

    assert data == {"call_id_stack": ["a"]}


def test_context_is_hashed_by_identity_and_can_be_referenced_weakly():
    first, second = make_context(unique_id="1"), make_context(unique_id="1")

    references = weakref.WeakKeyDictionary({first: "first", second: "second"})

    assert len(references) == 2
    assert first != second


def test_remaining_time_is_none_without_a_deadline():
    assert make_context().remaining() is None


def test_remaining_time_shrinks_to_nothing():
    now = time.monotonic()

    assert 9 < make_context(deadline=now + 10).remaining() <= 10
    assert make_context(deadline=now - 10).remaining() == 0


def test_repr_shows_the_call_id():
    assert repr(make_context(unique_id="7")) == "<WorkerContext shop.buy.7>"


def test_call_ids_are_unique():
    assert len({new_call_id() for _ in range(1000)}) == 1000


def test_call_ids_of_a_forked_child_differ():
    program = """
import os
from rpcnode.context import new_call_id
child = os.fork()
os.write(1, new_call_id().partition("-")[0].encode() + b" ")
if child:
    os.waitpid(child, 0)
"""

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)

    assert len(set(result.stdout.split())) == 2


def test_context_data_travels_under_the_prefix():
    data = {"language": "en", "user_id": None, "call_id_stack": ["a"]}

    headers = headers_from_context(data, "nameko")

    assert headers == {"nameko.language": "en", "nameko.call_id_stack": ["a"]}


def test_foreign_headers_are_left_out():
    headers = {"nameko.language": "en", "x-death": [], "rpcnode-timeout-ms": 5, "namekoish": 1}

    assert context_from_headers(headers, "nameko") == {"language": "en"}


def test_both_known_prefixes_and_an_own_one_are_understood():
    headers = {"nameko.a": 1, "rpcnode.b": 2, "my.app.c": 3}

    assert context_from_headers(headers, "my.app") == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("order", [1, -1])
def test_own_prefix_wins(order):
    headers = dict([("nameko.a", "foreign"), ("own.a", "own")][::order])

    assert context_from_headers(headers, "own") == {"a": "own"}


@pytest.mark.parametrize("garbage", ["a", [1], None, {"a": 1}, [["a"]]])
def test_call_id_stack_that_is_garbage_is_ignored(garbage, caplog):
    headers = {"nameko.call_id_stack": garbage, "nameko.language": "en"}

    with caplog.at_level(logging.DEBUG, logger="rpcnode.context"):
        data = context_from_headers(headers, "nameko")

    assert data == {"language": "en"}
    assert "call id stack" in caplog.text


@given(
    st.dictionaries(st.text(), st.integers() | st.text()),
    st.sampled_from(["nameko", "rpcnode", "my.app"]),
)
def test_context_data_comes_back_from_its_headers(data, prefix):
    data.pop("call_id_stack", None)

    assert context_from_headers(headers_from_context(data, prefix), prefix) == data


def test_deadline_comes_back_from_its_headers():
    headers = deadline_headers(1.5, time.time())

    now = time.monotonic()
    assert deadline_from_headers(headers, now, 2.0) == now + 1.5


def test_time_left_is_sent_as_at_least_a_millisecond():
    assert deadline_headers(0.0, 10.0) == {"rpcnode-timeout-ms": 1, "rpcnode-deadline": 10001}


def test_deadline_counts_the_time_that_a_message_waited():
    headers = deadline_headers(10, time.time() - 60)

    now = time.monotonic()
    assert deadline_from_headers(headers, now, 2.0) == pytest.approx(now - 48, abs=0.5)


def test_clock_of_the_sender_can_be_ignored():
    headers = deadline_headers(10, time.time() - 60)

    now = time.monotonic()
    assert deadline_from_headers(headers, now, None) == now + 10


def test_moment_alone_is_a_deadline():
    headers = {"rpcnode-deadline": round(time.time() * 1000) + 5000}

    deadline = deadline_from_headers(headers, time.monotonic(), 0.0)

    assert deadline == pytest.approx(time.monotonic() + 5, abs=0.5)


@pytest.mark.parametrize("headers", [{}, {"rpcnode-deadline": 1}])
def test_no_deadline_without_headers_that_are_understood(headers):
    assert deadline_from_headers(headers, time.monotonic(), None) is None


@pytest.mark.parametrize(
    "garbage", ["5", None, True, [5], float("nan"), float("inf"), 10**400, -(10**400), b"5"]
)
@pytest.mark.parametrize("header", [context.TIMEOUT_HEADER, context.DEADLINE_HEADER])
def test_garbage_is_no_deadline(header, garbage):
    assert deadline_from_headers({header: garbage}, time.monotonic(), 2.0) is None
