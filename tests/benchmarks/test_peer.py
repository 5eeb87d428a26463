"""The peers, and how their programs are run."""

import sys

import pytest

from benchmarks.environment import NotAvailable, make_environment
from benchmarks.peer import NAMES, PROMISES, Peer, load_peers


@pytest.mark.parametrize("name", NAMES)
def test_every_peer_says_what_it_is_and_what_it_promises(name):
    peer = Peer.load(name)

    assert peer.title
    assert peer.how
    assert all(peer.promises[each] for each in PROMISES)
    assert peer.does


def test_the_first_peer_is_the_one_that_others_are_compared_with():
    peers = load_peers()

    assert [peer.name for peer in peers] == list(NAMES)
    assert peers[0].name == "rpcnode"


def test_rpcnode_runs_in_our_own_environment_and_others_in_theirs():
    ours, theirs, in_c = (Peer.load(name) for name in ("rpcnode", "nameko", "librabbitmq"))

    commands = [peer.command("client") for peer in (ours, theirs, in_c)]

    assert commands[0] == [sys.executable, "-m", "benchmarks.peers.rpcnode.client"]
    assert commands[1][0].endswith("benchmarks/.venv-nameko/bin/python")
    assert commands[2][0].endswith("benchmarks/.venv-librabbitmq/client")


def test_every_version_is_pinned():
    for peer in load_peers():
        lines = peer.requirements() if peer.is_python and peer.name != "rpcnode" else []
        assert [line for line in lines if "==" not in line] == []


def test_an_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.peer.PEERS_FOLDER", tmp_path)
    monkeypatch.setattr("benchmarks.peer.ROOT", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "service.c").write_text("no C at all")
    peer = Peer("broken", is_python=False)
    monkeypatch.setattr("benchmarks.peer.os.geteuid", lambda: 1000)

    with pytest.raises(NotAvailable, match="no environment for broken"):
        peer.prepare()


def test_environment_that_the_package_index_cannot_fill_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(NotAvailable, match=r"no environment for broken: (?s:.)*no-such-package"):
        make_environment(tmp_path, "broken", "no-such-package==1")
