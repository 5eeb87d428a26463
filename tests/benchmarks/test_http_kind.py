"""The measurements of HTTP, tiny, with rpcnode's program."""

import shutil

import pytest

from benchmarks.kinds.http import ORDER, Http, IdleConnections
from benchmarks.measuring import Bench
from benchmarks.peer import Peer
from benchmarks.process import PeerFailed

TINY = Bench(broker_pid=None, seconds=1, warm_up=0.05)
ANY = ("any", "http", "any")
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def measure(workload):
    return workload.measure(TINY, Peer.load("rpcnode"), "")


@needs_wrk
@pytest.mark.parametrize(
    "workload",
    [
        Http(*ANY, connections=2),
        Http(*ANY, path="/orders", method="POST", body=ORDER, connections=2),
        Http(*ANY, path="/wait", connections=20, workers=30, ideal_per_second=20 / 0.05),
    ],
    ids=lambda each: each.path,
)
def test_requests_have_figures(workload):
    figures = measure(workload)

    assert {name for name in workload.columns if not figures[name]} == set()
    assert figures["p50_ms"] <= figures["p99_ms"]
    assert "httptools" in TINY.versions["rpcnode"]


@needs_wrk
def test_share_of_what_is_ideal_is_told():
    workload = Http(*ANY, path="/wait", connections=20, workers=30, ideal_per_second=20 / 0.05)

    figures = measure(workload)

    assert 0 < figures["ideal_share"] <= 1.05
    assert figures["p50_ms"] >= 50


def test_request_that_fails_has_no_figures():
    with pytest.raises(PeerFailed, match="GET /nowhere was answered with b'404'"):
        measure(Http(*ANY, path="/nowhere"))


def test_wrk_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    workload = Http(*ANY)

    with pytest.raises(PeerFailed, match="apt-get install wrk"):
        workload._wrk(1, 1)


def test_idle_connections_are_weighed():
    figures = measure(IdleConnections("any", "http-idle", "any", number=300))

    assert 0 < figures["kb_per_connection"] < 20
    assert figures["service_mb"] > 10
