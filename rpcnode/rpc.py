"""RPC: methods that others call, and proxies to call theirs."""

from rpcnode.extensions.rpc import ClusterRpc, Rpc, RpcProxy, ServiceRpc, rpc
from rpcnode.proxies import RpcReply

__all__ = ["ClusterRpc", "Rpc", "RpcProxy", "RpcReply", "ServiceRpc", "rpc"]
