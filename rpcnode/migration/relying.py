"""Places in Python code that rely on what means something else in rpcnode."""

import ast
from collections.abc import Callable, Iterator

from rpcnode.migration.bindings import Bindings, chain
from rpcnode.migration.findings import Analysis, Finding

Check = Callable[[ast.AST, Bindings], str | None]

CLIENTS = {
    f"standalone.rpc.{name}"
    for name in ("ClusterRpcProxy", "ServiceRpcProxy", "ClusterRpcClient", "ServiceRpcClient")
}
PROXIES = {"rpc.RpcProxy", "rpc.ServiceRpc", "rpc.ClusterRpc"}
PUBLISHERS = {*PROXIES, "events.EventDispatcher", "messaging.Publisher"}
HANDLERS = {"events.event_handler", "events.EventHandler", "messaging.consume"}
ENTRYPOINTS = {*HANDLERS, "rpc.rpc", "timer.timer", "web.handlers.http", "http.http"}
MUTATIONS = {"update", "setdefault", "pop", "popitem", "clear"}
MUTABLE = {"config": "config-is-read-only", "context_data": "context-data"}
INTERNALS = {
    "_being_killed",
    "_died",
    "_inject_dependencies",
    "_managed_threads",
    "_reply_events",
    "_run_worker",
    "_worker_pool",
    "_worker_result",
    "_worker_setup",
    "_worker_teardown",
    "_worker_threads",
}
OLD_ATTRIBUTE = "nameko_entrypoints"
TIMEOUTS = (["eventlet", "Timeout"], ["eventlet", "timeout", "Timeout"])


def find_reliance(bindings: Bindings) -> Analysis:
    """Return the places of a module that rely on something; without imports, dropped replies."""
    checks = CHECKS if bindings.paths else (dropped_reply,)
    found = Analysis()
    for node in bindings.nodes:
        for check in checks:
            rule = check(node, bindings)
            if rule is not None:
                found.findings.add(Finding(_line_of(node), rule))
    found.findings |= set(_clients_per_thread(bindings))
    return found


def _line_of(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def dropped_reply(node: ast.AST, bindings: Bindings) -> str | None:
    """`self.mail.send.call_async(...)` as a statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        if isinstance(function, ast.Attribute) and function.attr == "call_async":
            return "dropped-reply"
    return None


def requeue(node: ast.AST, bindings: Bindings) -> str | None:
    """`@event_handler(..., requeue_on_error=True)`, by keyword or in its place."""
    if not isinstance(node, ast.Call) or bindings.path_of(node) not in HANDLERS:
        return None
    if _argument(node, "retry") is not None:  # somebody has thought about it
        return None
    place = 1 if bindings.path_of(node) == "messaging.consume" else 4
    by_place = node.args[place] if len(node.args) > place else None
    is_asked = _is_true(_argument(node, "requeue_on_error")) or _is_true(by_place)
    return "requeue-on-error" if is_asked else None


def changed_mapping(node: ast.AST, bindings: Bindings) -> str | None:
    """`self.container.config["KEY"] = value`, `worker_ctx.context_data.update(...)`."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        target: ast.expr = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr not in MUTATIONS:
            return None
        target = node.func.value
    else:
        return None
    return MUTABLE.get(target.attr) if isinstance(target, ast.Attribute) else None


def unreliable_broadcast(node: ast.AST, bindings: Bindings) -> str | None:
    """`@event_handler("a", "b", handler_type=BROADCAST, reliable_delivery=False)`."""
    if not isinstance(node, ast.Call) or bindings.path_of(node) not in HANDLERS:
        return None
    kind = _argument(node, "handler_type") or (node.args[2] if len(node.args) > 2 else None)
    by_place = node.args[3] if len(node.args) > 3 else None
    reliable = _argument(node, "reliable_delivery") or by_place
    is_unreliable = isinstance(reliable, ast.Constant) and reliable.value is False
    is_broadcast = kind is not None and bindings.path_of(kind) == "events.BROADCAST"
    return "broadcast-queue" if is_unreliable and is_broadcast else None


def worker_result(node: ast.AST, bindings: Bindings) -> str | None:
    """A hook of that name."""
    is_hook = isinstance(node, ast.FunctionDef) and node.name == "worker_result"
    return "worker-result" if is_hook else None


def client_without_timeout(node: ast.AST, bindings: Bindings) -> str | None:
    """`ClusterRpcProxy(config)`."""
    if isinstance(node, ast.Call) and bindings.path_of(node) in CLIENTS:
        has_options = any(each.arg is None for each in node.keywords)
        if _argument(node, "timeout") is None and not has_options:
            return "client-timeout"
    return None


def call_without_timeout(node: ast.AST, bindings: Bindings) -> str | None:
    """`RpcProxy("billing")`."""
    is_proxy = isinstance(node, ast.Call) and bindings.path_of(node) in PROXIES
    if is_proxy and isinstance(node, ast.Call) and _argument(node, "timeout") is None:
        return "call-timeout"
    return None


def caught_timeout(node: ast.AST, bindings: Bindings) -> str | None:
    """`except RpcTimeout:`."""
    if not isinstance(node, ast.ExceptHandler) or node.type is None:
        return None
    types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    is_caught = "exceptions.RpcTimeout" in [bindings.path_of(each) for each in types]
    return "catches-timeout" if is_caught else None


def eventlet_timeout(node: ast.AST, bindings: Bindings) -> str | None:
    """`eventlet.Timeout(5)`, `from eventlet import Timeout`."""
    if isinstance(node, ast.ImportFrom) and node.module in ("eventlet", "eventlet.timeout"):
        return "eventlet-timeout" if "Timeout" in [each.name for each in node.names] else None
    if isinstance(node, ast.Attribute) and chain(node) in TIMEOUTS:
        return "eventlet-timeout"
    return None


def eventlet_patch(node: ast.AST, bindings: Bindings) -> str | None:
    """`eventlet.monkey_patch()`."""
    is_call = isinstance(node, ast.Call) and chain(node.func) == ["eventlet", "monkey_patch"]
    return "eventlet-patch" if is_call else None


def async_method(node: ast.AST, bindings: Bindings) -> str | None:
    """`@rpc async def method(self)`."""
    if isinstance(node, ast.AsyncFunctionDef):
        paths = {bindings.path_of(each) for each in node.decorator_list}
        return "async-method" if paths & ENTRYPOINTS else None
    return None


def werkzeug_exception(node: ast.AST, bindings: Bindings) -> str | None:
    """`from werkzeug.exceptions import NotFound` in a module with HTTP entrypoints."""
    is_import = isinstance(node, ast.ImportFrom) and node.module == "werkzeug.exceptions"
    if not is_import:
        return None
    has_http = any(path.endswith(".web.handlers.http") for path in bindings.paths.values())
    return "werkzeug-exception" if has_http else None


def publisher_options(node: ast.AST, bindings: Bindings) -> str | None:
    """`Publisher(use_confirms=False, retry=True, retry_policy={...})`."""
    if not isinstance(node, ast.Call) or bindings.path_of(node) not in PUBLISHERS:
        return None
    given = {each.arg for each in node.keywords}
    is_retried = "retry" in given and bindings.path_of(node) not in PROXIES
    return "publisher-options" if is_retried or given & {"use_confirms", "retry_policy"} else None


def internals(node: ast.AST, bindings: Bindings) -> str | None:
    """`container._worker_pool`, `function.nameko_entrypoints`."""
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr == OLD_ATTRIBUTE:
        return "entrypoints-attribute"
    return "container-internals" if node.attr in INTERNALS else None


def named_internals(node: ast.AST, bindings: Bindings) -> str | None:
    """`getattr(function, "nameko_entrypoints")`, `patch.object(container, "_worker_result")`."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return None
    if node.value == OLD_ATTRIBUTE:
        return "entrypoints-attribute"
    return "container-internals" if node.value in INTERNALS else None


def _clients_per_thread(bindings: Bindings) -> Iterator[Finding]:
    """Yield where a client is made in a function, which is for each call of it or each thread."""
    if not any(".standalone" in path for path in bindings.paths.values()):
        return
    functions = [node for node in bindings.nodes if isinstance(node, ast.FunctionDef)]
    for node in (each for function in functions for each in ast.walk(function)):
        if isinstance(node, ast.Call) and bindings.path_of(node) in CLIENTS:
            yield Finding(node.lineno, "client-per-thread")


CHECKS: tuple[Check, ...] = (
    dropped_reply,
    requeue,
    changed_mapping,
    unreliable_broadcast,
    worker_result,
    client_without_timeout,
    call_without_timeout,
    caught_timeout,
    eventlet_timeout,
    eventlet_patch,
    async_method,
    werkzeug_exception,
    publisher_options,
    internals,
    named_internals,
)
