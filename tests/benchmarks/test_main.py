"""Which peers are measured."""

from benchmarks.__main__ import available
from benchmarks.peer import NotAvailable, Peer


class Missing(Peer):
    """A peer that cannot be had."""

    def prepare(self):
        raise NotAvailable("no environment for missing: the index does not answer")


def test_a_peer_that_cannot_be_had_is_reported_and_left_out(capsys):
    peers = (Peer("rpcnode"), Missing("missing"))

    found = available(peers)

    assert found == [Peer("rpcnode")]
    assert "the index does not answer" in capsys.readouterr().err
