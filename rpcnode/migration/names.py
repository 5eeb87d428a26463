"""Nameko's names that rpcnode has not, and what to write instead; `docs/nameko-names.md`.

A row speaks of everything below its path as well.
"""

# Modules of this name exist here, and are something else.
HOMONYMS = {"nameko.config", "nameko.cli"}

_WRITE_BY_GROUP = {
    # Nameko 3 keeps its configuration in the process.
    "pass a configuration to `run_services(config, ...)` and the clients; a worker reads it with "
    "`config = Config()` of `rpcnode.dependency_providers`, an extension in "
    "`self.container.config`; `rpcnode.config.use_as_default({...})` is for those given none": (
        "config",
    ),
    "call the command `rpcnode`, or `run_services` of `rpcnode.runners`": ("cli",),
    "`consume` of `rpcnode.messaging`, or a class derived from its `Consumer`": (
        "amqp.consume",
        "messaging.QueueConsumer",
        "messaging.QueueConsumerStopped",
    ),
    "in a service `Publisher` of `rpcnode.messaging`, elsewhere `kombu.Connection(uri)` itself": (
        "amqp.publish.Publisher",
        "amqp.publish.get_connection",
        "amqp.publish.get_producer",
    ),
    "PREFETCH_COUNT in the configuration; its default follows from the workers": (
        "constants.DEFAULT_PREFETCH_COUNT",
    ),
    "nothing: publishing and connecting are tried again by rules of their own": (
        "constants.DEFAULT_RETRY_POLICY",
        "constants.DEFAULT_TRANSPORT_OPTIONS",
    ),
    "derive from `Rpc` of `rpcnode.rpc`; a dependency provider sees what happens to a worker": (
        "rpc.RpcConsumer",
        "rpc.Responder",
    ),
    "derive from `RpcProxy` of `rpcnode.rpc`, and wrap what its `get_dependency` returns": (
        "rpc.ReplyListener",
        "rpc.ServiceProxy",
        "rpc.MethodProxy",
        "rpc.Client",
        "rpc.Proxy",
    ),
    "`RpcReply` of `rpcnode.rpc`, which has `result` as well": ("rpc.RpcCall",),
    "nothing: a proxy refuses the options that it does not know": (
        "rpc.RESTRICTED_PUBLISHER_OPTIONS",
    ),
    "`ClusterRpcProxy` or `ServiceRpcProxy` of `rpcnode.standalone.rpc` themselves": (
        "standalone.rpc.ClusterProxy",
        "standalone.rpc.ConsumeEvent",
        "standalone.rpc.PollingQueueConsumer",
        "standalone.rpc.SingleThreadedReplyListener",
        "standalone.rpc.StandaloneProxyBase",
    ),
    "nothing: pytest finds the plugin by itself": ("testing.pytest",),
    "nothing yet: there are no WebSockets; leave such a service on Nameko for now": (
        "testing.websocket",
        "web.websocket",
    ),
    "`retry` of `rpcnode.utils.retry`": ("utils.retry.RetryDelay",),
    "nothing: the server is rpcnode's own; `get_wsgi_app` of a `WebServer` wraps it": (
        "web.server.HttpOnlyProtocol",
    ),
}
INSTEAD = {f"nameko.{path}": text for text, paths in _WRITE_BY_GROUP.items() for path in paths}
