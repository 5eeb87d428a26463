"""What Nameko's pages show of programs that are no service: proxies, and a dispatcher."""

import pytest

from rpcnode.events import event_handler
from rpcnode.exceptions import RemoteError, RpcTimeout, UnknownService
from rpcnode.rpc import rpc
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy, ServiceRpcProxy
from rpcnode.testing.services import entrypoint_waiter


class Adder:
    name = "adder"

    @rpc
    def add(self, first, second):
        return first + second

    @event_handler("script", "counted")
    def count(self, payload):
        return payload["number"]


@pytest.fixture
def config(vhost_uri):
    """A configuration for RabbitMQ: clients are for other processes than those of services."""
    return {"AMQP_URI": vhost_uri}


@pytest.fixture
def adder(container_factory, config):
    container = container_factory(Adder, config)
    container.start()
    return container


def test_cluster_proxy_calls_any_service(adder, config):
    with ClusterRpcProxy(config) as cluster:
        assert cluster.adder.add(1, 2) == 3
        assert cluster["adder"].add("a", "b") == "ab"
        replies = [cluster.adder.add.call_async(number, 1) for number in range(3)]
        assert [reply.result() for reply in replies] == [1, 2, 3]
        with pytest.raises(RemoteError, match="TypeError"):
            cluster.adder.add(1, "b")
        with pytest.raises(UnknownService):
            cluster.subtractor.subtract(1, 2)


def test_service_proxy_calls_one_service_and_may_be_started_by_hand(adder, config):
    proxy = ServiceRpcProxy("adder", config, timeout=5)
    adder_proxy = proxy.start()
    try:
        assert adder_proxy.add(2, 3) == 5
    finally:
        proxy.stop()


def test_proxy_with_a_timeout_waits_no_longer(adder, config):
    adder.stop()  # its queue stays, so that the call waits there

    with ServiceRpcProxy("adder", config, timeout=0.2) as proxy, pytest.raises(RpcTimeout):
        proxy.add(1, 2)


def test_proxy_without_a_timeout_has_that_of_the_configuration(adder, config):
    adder.stop()

    with ServiceRpcProxy("adder", {**config, "RPC_TIMEOUT": 0.2}) as proxy:
        with pytest.raises(RpcTimeout):
            proxy.add(1, 2)


def test_event_of_a_script_reaches_its_handler(adder, config):
    dispatch = event_dispatcher(config)

    with entrypoint_waiter(adder, "count") as counted:
        dispatch("script", "counted", {"number": 7})

    assert counted.get() == 7
    dispatch.stop()
