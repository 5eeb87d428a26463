"""RPC: methods that others call, and proxies to call theirs."""

from rpcnode.extensions.exchanges import (
    RPC_QUEUE_TEMPLATE,
    RPC_REPLY_QUEUE_TEMPLATE,
    RPC_REPLY_QUEUE_TTL,
    get_rpc_exchange,
)
from rpcnode.extensions.rpc import ClusterRpc, Rpc, RpcProxy, ServiceRpc, rpc
from rpcnode.proxies import RpcReply

__all__ = [
    "RPC_QUEUE_TEMPLATE",
    "RPC_REPLY_QUEUE_TEMPLATE",
    "RPC_REPLY_QUEUE_TTL",
    "ClusterRpc",
    "Rpc",
    "RpcProxy",
    "RpcReply",
    "ServiceRpc",
    "get_rpc_exchange",
    "rpc",
]
