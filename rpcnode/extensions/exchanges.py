"""The exchange and the queues of RPC, for those who meet them outside a service."""

from collections.abc import Mapping
from typing import Any

from rpcnode.amqp import naming
from rpcnode.amqp.entities import rpc_exchange
from rpcnode.config import Config, as_config

RPC_QUEUE_TEMPLATE = naming.rpc_queue("{}")
RPC_REPLY_QUEUE_TEMPLATE = naming.reply_queue("{}", "{}")
RPC_REPLY_QUEUE_TTL = naming.REPLY_QUEUE_TTL


def get_rpc_exchange(config: Config | Mapping[str, Any] | None = None) -> Any:
    """Return the `kombu.Exchange` that requests and replies go through."""
    return rpc_exchange(as_config(config)["RPC_EXCHANGE"])
