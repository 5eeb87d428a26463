"""RPC: methods that others call, and proxies to call theirs."""

from rpcnode.extensions.rpc_proxies import ClusterRpc, RpcProxy, ServiceRpc
from rpcnode.extensions.rpc_server import Rpc, rpc

__all__ = ["ClusterRpc", "Rpc", "RpcProxy", "ServiceRpc", "rpc"]
