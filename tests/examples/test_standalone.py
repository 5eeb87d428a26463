"""Calls and events from a program that is no service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples import standalone
from examples.rpc import Billing
from rpcnode.events import event_handler
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.hosting import hosted, wait_until

ROOT = Path(__file__).parent.parent.parent


class Packing:
    name = "packing"
    orders: list = []

    @event_handler("orders", "placed")
    def pack(self, order):
        self.orders.append(order)


@pytest.fixture
def config(vhost_uri):
    Packing.orders.clear()
    config = {"AMQP_URI": vhost_uri}
    with hosted(config, Billing, Packing):
        yield config


def test_program_calls_and_dispatches(config):
    program = [sys.executable, str(ROOT / "examples" / "standalone.py"), config["AMQP_URI"]]

    done = subprocess.run(
        program,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "6\n"
    wait_until(lambda: Packing.orders == [{"id": 7}])


def test_every_way_to_call_returns_the_results(config):
    with ClusterRpcProxy(config) as rpc:
        at_once = standalone.bill_several_at_once(rpc, [[1], [2, 3]])
        carefully = standalone.bill_carefully(rpc, [4])
    from_threads = standalone.bill_from_threads(config, [[1], [2, 3]])

    assert sorted(at_once) == [1, 5]
    assert carefully == 4
    assert from_threads == [1, 5]


def test_service_that_is_not_there_is_told(vhost_uri):
    with ClusterRpcProxy({"AMQP_URI": vhost_uri}) as rpc:
        result = standalone.bill_carefully(rpc, [4])

    assert result == "nobody does the billing"


def test_application_calls_for_as_long_as_it_lives(config):
    application = standalone.Application(config)

    results = [application.handle([number]) for number in range(3)]
    application.close()

    assert results == [0, 1, 2]
