"""Nameko's public names: each is here under the same path, or the page says why it cannot be."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "nameko-names.md").read_text(encoding="utf-8")
PLUGIN = "".join(
    (ROOT / "rpcnode" / name).read_text(encoding="utf-8")
    for name in ("pytest_plugin.py", "pytest_rabbit.py")
)

# What Nameko 2.14.1 and 3.0.0rc11 have under `nameko.`, private names left out.
NAMES = {
    "amqp.consume": "Consumer",
    "amqp.publish": "Publisher UndeliverableMessage get_connection get_producer",
    "constants": """
        ACCEPT_CONFIG_KEY AMQP_SSL_CONFIG_KEY AMQP_URI_CONFIG_KEY AUTH_TOKEN_CONTEXT_KEY
        CALL_ID_STACK_CONTEXT_KEY DEFAULT_AMQP_URI DEFAULT_HEARTBEAT DEFAULT_MAX_WORKERS
        DEFAULT_PARENT_CALLS_TRACKED DEFAULT_PREFETCH_COUNT DEFAULT_RETRY_POLICY DEFAULT_SERIALIZER
        DEFAULT_TRANSPORT_OPTIONS HEADER_PREFIX HEARTBEAT_CONFIG_KEY LANGUAGE_CONTEXT_KEY
        LOGIN_METHOD_CONFIG_KEY MAX_WORKERS_CONFIG_KEY NON_PERSISTENT PARENT_CALLS_CONFIG_KEY
        PERSISTENT PREFETCH_COUNT_CONFIG_KEY RPC_EXCHANGE_CONFIG_KEY SERIALIZERS_CONFIG_KEY
        SERIALIZER_CONFIG_KEY TRANSPORT_OPTIONS_CONFIG_KEY USER_AGENT_CONTEXT_KEY
        USER_ID_CONTEXT_KEY WEB_SERVER_CONFIG_KEY
    """,
    "containers": "ServiceContainer WorkerContext get_container_cls get_service_name new_call_id",
    "contextdata": "AuthToken ContextDataProvider Language UserAgent UserId",
    "dependency_providers": "Config",
    "events": """
        BROADCAST EventDispatcher EventHandler EventHandlerConfigurationError SERVICE_POOL
        SINGLETON event_handler
    """,
    "exceptions": """
        BadRequest CommandError ConfigurationError ConnectionNotFound ContainerBeingKilled
        ExtensionNotFound IncorrectSignature MalformedRequest MethodNotFound RemoteError
        ReplyQueueExpiredWithPendingReplies RpcTimeout UnknownService UnserializableValueError
        deserialize deserialize_to_instance get_module_path registry safe_for_serialization
        serialize
    """,
    "extensions": """
        DependencyProvider ENTRYPOINT_EXTENSIONS_ATTR Entrypoint Extension ProviderCollector
        SharedExtension is_dependency is_entrypoint is_extension iter_extensions
        register_entrypoint
    """,
    "log_helpers": "make_timing_logger",
    "messaging": """
        Consumer HeaderDecoder HeaderEncoder Publisher QueueConsumer QueueConsumerStopped consume
        decode_from_headers encode_to_headers
    """,
    "rpc": """
        Client ClusterRpc MethodProxy Proxy RESTRICTED_PUBLISHER_OPTIONS RPC_QUEUE_TEMPLATE
        RPC_REPLY_QUEUE_TEMPLATE RPC_REPLY_QUEUE_TTL ReplyListener Responder Rpc RpcCall
        RpcConsumer RpcProxy RpcReply ServiceProxy ServiceRpc get_rpc_exchange rpc
    """,
    "runners": "ServiceRunner run_services",
    "serialization": "SerializationConfig setup",
    "standalone.events": "event_dispatcher get_event_exchange",
    "standalone.rpc": """
        ClusterProxy ClusterRpcClient ClusterRpcProxy ConsumeEvent PollingQueueConsumer
        ServiceRpcClient ServiceRpcProxy SingleThreadedReplyListener StandaloneProxyBase
    """,
    "testing.pytest": "pytest_addoption",
    "testing.rabbit": "Client",
    "testing.services": """
        EntrypointWaiterTimeout MockDependencyProvider Once dummy entrypoint_hook
        entrypoint_waiter once replace_dependencies restrict_entrypoints worker_factory
    """,
    "testing.utils": """
        ANY_PARTIAL AnyInstanceOf DummyProvider MockCallArgs ResourcePipeline
        assert_stops_raising find_free_port get_container get_extension get_rabbit_connections
        reset_rabbit_connections unpack_mock_call wait_for_call wait_for_worker_idle
    """,
    "testing.waiting": "WaitResult wait_for_call",
    "testing.websocket": "make_virtual_socket",
    "timer": "Timer timer",
    "utils": "REDACTED get_redacted_args import_from_path sanitize_url",
    "utils.concurrency": "SpawningProxy SpawningSet fail_fast_imap",
    "utils.retry": "RetryDelay retry",
    "web.handlers": "HttpRequestHandler http",
    "web.server": "BindAddress HttpOnlyProtocol WebServer WsgiApp parse_address",
    "web.websocket": """
        Connection WebSocketHub WebSocketHubProvider WebSocketRpc WebSocketServer rpc
    """,
}
PATHS = [f"rpcnode.{module}.{name}" for module, names in NAMES.items() for name in names.split()]

# Parameters by position: what a user may have written without names.
SIGNATURES = {
    "containers.ServiceContainer": "service_cls config",
    "containers.ServiceContainer.spawn_managed_thread": "fn identifier",
    "containers.ServiceContainer.spawn_worker": (
        "entrypoint args kwargs context_data handle_result"
    ),
    "containers.get_service_name": "service_cls",
    "containers.WorkerContext": "container service entrypoint args kwargs data",
    "containers.get_container_cls": "config",
    "events.EventHandler": (
        "source_service event_type handler_type reliable_delivery requeue_on_error"
    ),
    "exceptions.RemoteError": "exc_type value",
    "extensions.DependencyProvider.bind": "container attr_name",
    "extensions.DependencyProvider.worker_result": "worker_ctx result exc_info",
    "extensions.Entrypoint": "expected_exceptions sensitive_arguments",
    "extensions.Entrypoint.bind": "container method_name",
    "log_helpers.make_timing_logger": "logger precision level",
    "messaging.Consumer": "queue requeue_on_error",
    "messaging.Publisher": "exchange queue declare",
    "rpc.RpcProxy": "target_service",
    "rpc.get_rpc_exchange": "config",
    "runners.ServiceRunner": "config",
    "serialization.setup": "config",
    "testing.rabbit.Client": "uri",
    "testing.rabbit.Client.create_queue_binding": "vhost exchange queue routing_key",
    "testing.rabbit.Client.get_messages": "vhost name count requeue",
    "testing.rabbit.Client.publish": "vhost name routing_key payload properties",
    "testing.rabbit.Client.set_vhost_permissions": "vhost username configure read write",
    "testing.services.MockDependencyProvider": "attr_name dependency",
    "testing.services.entrypoint_hook": "container method_name context_data timeout",
    "testing.services.entrypoint_waiter": "container method_name timeout callback",
    "testing.utils.ResourcePipeline": "create destroy size",
    "testing.utils.assert_stops_raising": "fn exception_type timeout interval",
    "testing.utils.get_rabbit_connections": "vhost rabbit_manager",
    "testing.utils.wait_for_call": "timeout mock_method",
    "testing.utils.wait_for_worker_idle": "container timeout",
    "testing.waiting.wait_for_call": "obj target callback",
    "timer.Timer": "interval eager",
    "utils.retry.retry": "wrapped for_exceptions max_attempts delay backoff max_delay",
    "web.handlers.HttpRequestHandler": "method url",
}
FIXTURES = """
    amqp_uri container_factory empty_config fast_teardown get_message_from_queue mock_container
    predictable_call_ids rabbit_config rabbit_manager rabbit_ssl_config rabbit_ssl_options
    rabbit_ssl_uri rabbit_uri runner_factory vhost_pipeline web_config web_config_port web_session
    websocket
"""
OPTIONS = """
    --amqp-ssl-option --amqp-ssl-port --amqp-uri --blocking-detection --rabbit-amqp-uri
    --rabbit-api-uri --rabbit-ctl-uri --suppress-nameko-eventlet-notification
"""


def rows(heading):
    """Return the names in the first column of the table below a heading."""
    table = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


NOT_HERE = rows("What is not here")


def found(path):
    """Return what lies at a dotted path of module and attributes; raise ImportError."""
    module_name, *names = path.split(".")
    thing = importlib.import_module(module_name)
    for name in names:
        module_name = f"{module_name}.{name}"
        if not hasattr(thing, name):
            importlib.import_module(module_name)  # a submodule, or it is not there
        thing = getattr(thing, name)
    return thing


def is_here(path):
    module_name, _dot, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        return False
    # What a module imports for itself is not offered.
    return name in getattr(module, "__all__", vars(module))


@pytest.mark.parametrize("path", PATHS)
def test_name_is_here_or_the_page_says_why_not(path):
    module = path.rpartition(".")[0]
    is_explained = path in NOT_HERE or f"{module}.*" in NOT_HERE

    assert is_here(path) != is_explained


def test_page_explains_nothing_that_nameko_does_not_have():
    modules = {f"{path.rpartition('.')[0]}.*" for path in PATHS}

    others = {"rpcnode.config", "websocket", "rabbit_ssl_uri"}
    assert set(NOT_HERE) - set(PATHS) - modules == others


@pytest.mark.parametrize(("path", "parameters"), SIGNATURES.items())
def test_arguments_may_be_given_by_position_as_nameko_s_users_do(path, parameters):
    thing = found(f"rpcnode.{path}")
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)

    by_position = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name != "self"
    ]

    wanted = parameters.split()
    assert by_position[: len(wanted)] == wanted


@pytest.mark.parametrize("name", FIXTURES.split())
def test_fixture_is_here_or_the_page_says_why_not(name):
    is_made = re.search(rf"^def {name}\(", PLUGIN, flags=re.MULTILINE) is not None

    assert is_made != (name in NOT_HERE)


@pytest.mark.parametrize("option", OPTIONS.split())
def test_option_of_the_pytest_plugin_is_here(option):
    assert f'"{option}"' in PLUGIN
