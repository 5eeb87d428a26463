"""What is measured, and with whom."""

import pytest

from benchmarks.kinds.rpc import Rpc
from benchmarks.measuring import Bench
from benchmarks.peer import NAMES, load_peers
from benchmarks.targets import TARGETS
from benchmarks.workloads import QUICK, QUICK_PEERS, WORKLOADS

BY_NAME = {each.name: each for each in WORKLOADS}
PEERS = {peer.name: peer for peer in load_peers()}


def test_every_workload_has_a_name_of_its_own_and_is_measured_with_rpcnode():
    names = [workload.name for workload in WORKLOADS]

    assert len(BY_NAME) == len(names)
    assert [each.name for each in WORKLOADS if each.left_out(PEERS["rpcnode"])] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_peer_gives_a_reason_for_everything_that_it_is_not_measured_with(name):
    reasons = [workload.left_out(PEERS[name]) for workload in WORKLOADS]

    assert "" not in reasons


@pytest.mark.parametrize("target", TARGETS, ids=lambda each: f"{each.workload}-{each.wording()}")
def test_every_target_is_of_a_workload_that_is_measured_with_both(target):
    workload = BY_NAME[target.workload]

    assert target.peer is None or workload.left_out(PEERS[target.peer]) is None


def test_quick_mode_is_a_choice_of_what_there_is():
    assert set(QUICK) <= BY_NAME.keys()
    assert set(QUICK_PEERS) <= set(NAMES)


def test_the_workload_with_most_targets_changes_nothing_but_the_number_of_workers():
    workload = BY_NAME["rpc-100"]

    settings = workload.service_settings("amqp://broker/")

    assert settings == {
        "job": "rpc",
        "uri": "amqp://broker/",
        "workers": 100,
        "persistent": False,
        "services": ["bench"],
    }


def test_services_of_a_chain_are_named_in_its_order():
    workload = Rpc("any", "chain", "any", chain=3)

    service = workload.service_settings("amqp://broker/")
    client = workload.client_settings("amqp://broker/", Bench(None, 2, 1))

    assert (service["job"], service["services"]) == ("chain", ["bench", "bench2", "bench3"])
    assert (client["job"], client["services"]) == ("rpc", ["bench"])
    assert (client["seconds"], client["warm_up"]) == (2, 1)
