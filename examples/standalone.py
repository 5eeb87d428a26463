"""Calls and events from a program that is no service."""

import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from rpcnode.exceptions import RpcTimeout, UnknownService
from rpcnode.retry import Retry
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy


def bill(config, amounts):
    with ClusterRpcProxy(config) as rpc:
        return rpc.billing.total(amounts, tax=1)


def bill_from_threads(config, orders):
    with ClusterRpcProxy(config, timeout=5) as rpc, ThreadPoolExecutor(16) as pool:
        return list(pool.map(rpc.billing.total, orders))


def bill_several_at_once(rpc, orders):
    replies = [rpc.billing.total.call_async(amounts) for amounts in orders]
    return [reply.result() for reply in as_completed(replies, timeout=10)]


def bill_carefully(rpc, amounts):
    try:
        total = rpc.billing.total.with_options(timeout=2, retry=Retry(3))
        return total(amounts)
    except UnknownService:
        return "nobody does the billing"
    except RpcTimeout as exc:
        return f"try again later: {exc}"


def place_order(config, order):
    with event_dispatcher(config) as dispatch:
        dispatch("orders", "placed", order)


class Application:
    """What a web application keeps for as long as its process lives."""

    def __init__(self, config):
        self.client = ClusterRpcProxy(config)
        self.rpc = self.client.start(wait=False)

    def handle(self, amounts):
        return self.rpc.billing.total(amounts)

    def close(self):
        self.client.stop()


def main():
    config = {"AMQP_URI": sys.argv[1]}
    print(bill(config, [2, 3]))
    place_order(config, {"id": 7})


if __name__ == "__main__":
    main()
