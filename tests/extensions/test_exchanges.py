"""The exchange and the queues of RPC, as others may know them."""

from rpcnode.rpc import (
    RPC_QUEUE_TEMPLATE,
    RPC_REPLY_QUEUE_TEMPLATE,
    RPC_REPLY_QUEUE_TTL,
    get_rpc_exchange,
    rpc,
)


class Service:
    name = "service"

    @rpc
    def method(self): ...


def test_queue_of_a_service_is_bound_to_the_exchange(
    container_factory, rabbit_config, rabbit_manager
):
    container_factory(Service, {**rabbit_config, "rpc_exchange": "calls"}).start()
    exchange = get_rpc_exchange({"rpc_exchange": "calls"})

    queue, vhost = RPC_QUEUE_TEMPLATE.format("service"), rabbit_config["vhost"]
    bindings = rabbit_manager.get_queue_bindings(vhost, queue)
    (found,) = [each for each in rabbit_manager.get_exchanges(vhost) if each["name"] == "calls"]

    assert exchange.name in [each["source"] for each in bindings]
    assert (found["type"], found["durable"]) == (exchange.type, exchange.durable)


def test_exchange_has_nameko_s_name_where_nothing_is_configured():
    assert get_rpc_exchange().name == get_rpc_exchange({}).name == "nameko-rpc"


def test_reply_queue_is_named_by_service_and_listener():
    assert RPC_REPLY_QUEUE_TEMPLATE.format("service", "id") == "rpc.reply-service-id"
    assert RPC_REPLY_QUEUE_TTL == 300_000
