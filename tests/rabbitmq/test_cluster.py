"""Three nodes of RabbitMQ that are one broker: services with quorum queues, as the nodes die.

RPCNODE_TEST_CLUSTER_ROUNDS says how often each node dies; once, if it says nothing.
"""

import os
from collections import Counter
from time import monotonic

import pytest

from rpcnode.exceptions import (
    BrokerUnavailable,
    ConnectionLost,
    PublishRejected,
    PublishTimeout,
    RpcNodeError,
    RpcTimeout,
)
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.cli.conftest import environ, rpcnode, start
from tests.faults.conftest import book
from tests.faults.load import Load
from tests.hosting import hosted, wait_until
from tests.rabbitmq_cluster import RabbitCluster

__all__ = ["book", "environ", "rpcnode", "start"]

ROUNDS = int(os.environ.get("RPCNODE_TEST_CLUSTER_ROUNDS", "1"))
TIMEOUT = 10
STRANGER = -1  # the number of calls that are not of the load


@pytest.fixture(scope="module")
def cluster():
    cluster = RabbitCluster()
    cluster.start()
    yield cluster
    cluster.stop()


def goes_on(load, seconds=60):
    """Wait until calls and events get through (again)."""
    returned, dispatched = len(load.returned), len(load.dispatched)
    wait_until(lambda: len(load.returned) > returned + 50, seconds=seconds)
    wait_until(lambda: len(load.dispatched) > dispatched + 20, seconds=seconds)


def kinds(failures):
    """Return how many failures there were of each kind."""
    return dict(Counter(type(error).__name__ for _number, error in failures))


def answers(client):
    """Return whether a call of a client that is no service gets through."""
    try:
        return client.ledger.write.with_options(timeout=1)(STRANGER) == STRANGER
    except RpcNodeError:
        return False


@pytest.mark.timeout(60 + 60 * ROUNDS)
def test_nodes_die_and_return_under_load_and_nothing_confirmed_is_lost(cluster, start, book):
    # given services on quorum queues, and somebody who calls and dispatches without a pause
    config = {"AMQP_URI": cluster.uri, "QUEUE_TYPE": "quorum"}
    arguments = ("--broker", cluster.uri, "-d", "QUEUE_TYPE=quorum", "tests.faults.ledger")
    process = start("run", *arguments)
    process.wait_for("services are up")
    with hosted(config) as services, ClusterRpcProxy(config) as client:
        load = Load(services, timeout=TIMEOUT)
        goes_on(load)

        # when each node is killed, and returns
        for node in cluster.nodes * ROUNDS:
            began = monotonic()
            node.kill()
            goes_on(load)
            wait_until(lambda: answers(client), seconds=TIMEOUT)
            print(f"went on after {monotonic() - began:.1f} s")
            node.resume()
            goes_on(load)
        load.end()

        # then every event that was confirmed is handled, and every call has ended in time
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")), seconds=40)
    process.process.terminate()
    assert process.wait() == 0
    print(
        f"{len(load.returned)} calls, {kinds(load.failed)} failed, the slowest in "
        f"{load.slowest:.1f} s; {len(load.dispatched)} events, "
        f"{kinds(load.undispatched)} unconfirmed"
    )
    assert set(load.returned) <= set(book.counts("call"))
    assert load.slowest < TIMEOUT + 1
    # A node refuses what is for a queue whose leader has just died.
    calls = {RpcTimeout, ConnectionLost, PublishRejected}
    assert {type(error) for _number, error in load.failed} <= calls
    events = {ConnectionLost, PublishTimeout, BrokerUnavailable, PublishRejected}
    assert {type(error) for _number, error in load.undispatched} <= events
    assert "guest:guest" not in process.errors
