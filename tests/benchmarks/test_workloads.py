"""What is measured."""

import json

import pytest

from benchmarks.workloads import BUSY, WORKLOADS, Workload


@pytest.mark.parametrize("size", [100, 1000])
def test_payload_has_the_size_that_is_asked_for(size):
    workload = Workload("any", 1, payload_size=size)

    encoded = json.dumps(workload.payload())

    assert len(encoded) == size


@pytest.mark.parametrize("in_flight", [1, 100])
def test_client_has_a_worker_for_each_call_in_flight(in_flight):
    workload = Workload("any", in_flight)

    config = workload.client_config()

    assert config["max_workers"] >= in_flight


def test_the_workload_with_an_aim_changes_nothing_but_the_number_of_workers():
    assert BUSY in WORKLOADS

    said = {**BUSY.config, **BUSY.service_config}

    assert said == {"max_workers": 100}
