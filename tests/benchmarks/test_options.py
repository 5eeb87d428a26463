"""What a run is told."""

from pathlib import Path

import pytest

from benchmarks.options import FULL, IN_QUICK_MODE, read
from benchmarks.peer import NAMES
from benchmarks.workloads import QUICK, QUICK_PEERS, WORKLOADS


def test_without_arguments_everything_is_measured_in_full():
    options = read([], {})

    assert options.workloads == WORKLOADS
    assert options.peers == NAMES
    assert options.sizes == FULL
    assert options.rounds.number == 6


@pytest.mark.parametrize(
    ("arguments", "environment"), [(["--quick"], {}), ([], {"BENCH_QUICK": "1"})]
)
def test_quick_mode_is_chosen_by_argument_or_variable(arguments, environment):
    options = read(arguments, environment)

    assert [each.name for each in options.workloads] == list(QUICK)
    assert options.peers == QUICK_PEERS
    assert options.sizes == IN_QUICK_MODE


def test_peers_and_workloads_are_chosen_by_name():
    options = read(["--peer", "nameko", "--workload", "rpc-1", "--workload", "drain"], {})

    assert options.peers == ("nameko",)
    assert [each.name for each in options.workloads] == ["rpc-1", "drain"]


def test_what_no_target_is_about_has_fewer_rounds_unless_asked_for():
    workload = next(each for each in WORKLOADS if each.name == "rpc-100-10kb")
    (peer,) = (each for each in NAMES if each == "rpcnode")

    few, all_of_them = (read(arguments, {}).rounds for arguments in ([], ["--all-rounds"]))

    assert ("rpc-100", peer) in few.targeted
    assert (workload.name, peer) not in few.targeted
    assert all_of_them.targeted is None


def test_sizes_come_from_the_environment():
    options = read(["--results", "found.json"], {"BENCH_ROUNDS": "3", "BENCH_SECONDS": "0.5"})

    assert options.rounds.number == 3
    assert options.sizes["BENCH_SECONDS"] == 0.5
    assert options.results == Path("found.json")


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["--peer", "grpc"], {}, "invalid choice: 'grpc'"),
        (["--workload", "rpc-7"], {}, "invalid choice: 'rpc-7'"),
        ([], {"BENCH_ROUNDS": "many"}, "could not convert string to float: 'many'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(capsys, arguments, environment, reason):
    with pytest.raises(SystemExit, match="2"):
        read(arguments, environment)

    assert reason in capsys.readouterr().err
