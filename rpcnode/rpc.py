"""RPC: methods that others call, and proxies to call theirs."""

from rpcnode.extensions.rpc import ClusterRpc, Rpc, RpcProxy, ServiceRpc, rpc

__all__ = ["ClusterRpc", "Rpc", "RpcProxy", "ServiceRpc", "rpc"]
