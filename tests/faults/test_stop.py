"""Stopping services under load."""

import signal

from rpcnode.extensions.connection import Messaging
from tests.faults.load import Load
from tests.hosting import hosted, wait_until


def test_terminated_under_load_no_call_fails_and_nothing_runs_twice(vhost_uri, hosting, book):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        first = hosting(vhost_uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 20)
        second = hosting(vhost_uri)
        before = len(load.returned)
        first.process.send_signal(signal.SIGTERM)

        assert first.wait() == 0
        wait_until(lambda: len(load.returned) > before + 100)
        load.end()
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")))
        second.process.send_signal(signal.SIGTERM)
        assert second.wait() == 0

    assert load.failed == []
    assert load.undispatched == []
    assert set(book.counts("call").values()) == {1}
    assert set(book.counts("event").values()) == {1}
    assert set(load.returned) == set(book.counts("call"))


def test_service_comes_back_after_a_kill_and_nothing_is_lost(vhost_uri, hosting, book):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        first = hosting(vhost_uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 20)
        first.process.kill()
        first.wait()
        hosting(vhost_uri)
        before = len(load.returned)
        wait_until(lambda: len(load.returned) > before + 50, seconds=20)
        load.end()
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")))

    assert load.failed == []  # a request that was not acked is delivered again
    assert set(load.returned) <= set(book.counts("call"))
    assert load.slowest < 11


def test_second_signal_kills_at_once_and_nothing_is_lost(vhost_uri, hosting, book):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        first = hosting(vhost_uri)
        reply = services.rpc.ledger.write.with_options(timeout=30).call_async(1, 5)
        wait_until(lambda: queue_depth(services) == (0, 1))
        first.process.send_signal(signal.SIGTERM)
        first.wait_for("a second signal kills")
        first.process.send_signal(signal.SIGTERM)

        assert first.wait() == 1
        hosting(vhost_uri)
        assert reply.result(timeout=20) == 1
    assert book.counts("call") == {1: 1}


def queue_depth(services):
    """Return how many requests wait for the ledger, and how many consumers it has."""
    channel = services.extension(Messaging).connection.consuming.channel()
    declared = channel.queue_declare("rpc-ledger", passive=True)
    channel.close()
    return declared.message_count, declared.consumer_count
