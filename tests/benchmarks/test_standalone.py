"""The measurement of standalone clients, tiny."""

from benchmarks.standalone import Sizes, measure, ratio, report

ROUND = {"calls": 300, "seconds": 0.1, "cpu_seconds": 0.03}
SLOWER = {"calls": 100, "seconds": 0.1, "cpu_seconds": 0.05}


def test_threads_of_both_frameworks_call_the_same_service(vhost_uri):
    figures = measure(vhost_uri, Sizes(calls=160, threads=4, rounds=1))

    assert [each["calls"] for rounds in figures.values() for each in rounds] == [160, 40]
    assert all(each["seconds"] > 0 for rounds in figures.values() for each in rounds)


def test_report_compares_both():
    figures = {"rpcnode": [ROUND], "nameko": [SLOWER]}

    text = report(figures)

    assert ratio(figures) == 3
    assert "rpcnode / nameko: 3.0 (target 3)" in text
    assert "3000 calls/s" in text
    assert "100 µs of CPU" in text


def test_sizes_come_from_the_environment():
    sizes = Sizes.from_environment({"BENCH_CALLS": "7", "BENCH_ROUNDS": ""})

    assert (sizes.calls, sizes.threads, sizes.rounds) == (7, 16, 3)
