"""Who may import whom: the rules of the architecture, held against every import in the source."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.imports import Import, Module, find_circle, imports_of, read_package

PACKAGE = Path(__file__).parent.parent / "rpcnode"

# The level of every module and package. A package that is named with a star has one level for
# all its modules; every other module has an entry of its own, and a new one must get one.
LEVELS = {
    "rpcnode": 0,
    "rpcnode.concurrency.*": 0,
    "rpcnode.exceptions": 0,
    "rpcnode.locating": 0,
    "rpcnode.masking": 0,
    "rpcnode.sizes": 0,
    "rpcnode.amqp.*": 1,
    "rpcnode.backoff": 1,
    "rpcnode.config": 1,
    "rpcnode.config_keys": 1,
    "rpcnode.context": 1,
    "rpcnode.httpd.*": 1,
    "rpcnode.hubwatch": 1,
    "rpcnode.lanes": 1,
    "rpcnode.management": 1,
    "rpcnode.observers": 1,
    "rpcnode.resources": 1,
    "rpcnode.retries": 1,
    "rpcnode.serialization": 1,
    "rpcnode.signatures": 1,
    "rpcnode.substitution": 1,
    "rpcnode.call_retries": 2,
    "rpcnode.calls": 2,
    "rpcnode.deadletters.*": 2,
    "rpcnode.extensions": 2,
    "rpcnode.extensions.base": 2,
    "rpcnode.proxies": 2,
    "rpcnode.publish_options": 2,
    "rpcnode.shutdown": 2,
    "rpcnode.workers": 2,
    "rpcnode.containers": 3,
    "rpcnode.extensions.aftermath": 4,
    "rpcnode.extensions.config": 4,
    "rpcnode.extensions.connection": 4,
    "rpcnode.extensions.contextdata": 4,
    "rpcnode.extensions.copies": 4,
    "rpcnode.extensions.crashguard": 4,
    "rpcnode.extensions.deadletters": 4,
    "rpcnode.extensions.delays": 4,
    "rpcnode.extensions.exchanges": 4,
    "rpcnode.extensions.headers": 4,
    "rpcnode.extensions.holding": 4,
    "rpcnode.extensions.http": 4,
    "rpcnode.extensions.intake": 4,
    "rpcnode.extensions.lifecycle": 4,
    "rpcnode.extensions.message_handler": 4,
    "rpcnode.extensions.messaging": 4,
    "rpcnode.extensions.postponed": 4,
    "rpcnode.extensions.publishing": 4,
    "rpcnode.extensions.retry": 4,
    "rpcnode.extensions.timer": 4,
    "rpcnode.extensions.web.*": 4,
    "rpcnode.extensions.events": 5,
    "rpcnode.extensions.replies": 5,
    "rpcnode.extensions.rpc": 5,
    "rpcnode.extensions.rpc_answers": 5,
    "rpcnode.extensions.rpc_client": 5,
    "rpcnode.extensions.rpc_returns": 5,
    "rpcnode.extensions.rpc_lanes": 5,
    "rpcnode.extensions.rpc_proxies": 5,
    "rpcnode.extensions.rpc_server": 5,
    "rpcnode.extensions.websocket": 5,
    "rpcnode.migration.*": 6,
    "rpcnode.runners": 6,
    "rpcnode.standalone.*": 6,
    "rpcnode.testing.*": 6,
    "rpcnode.pytest_plugin": 6,
    "rpcnode.pytest_rabbit": 6,
    "rpcnode.wsgi": 6,
    "rpcnode.__main__": 7,
    "rpcnode.cli.*": 7,
}

# They carry the names that users know, and are level 6: nothing in the package imports them.
PUBLIC_MODULES = {
    "rpcnode.amqp.publish",
    "rpcnode.constants",
    "rpcnode.contextdata",
    "rpcnode.dead",
    "rpcnode.dependency_providers",
    "rpcnode.events",
    "rpcnode.http",
    "rpcnode.lifecycle",
    "rpcnode.log_helpers",
    "rpcnode.messaging",
    "rpcnode.retry",
    "rpcnode.rpc",
    "rpcnode.timer",
    "rpcnode.utils",
    "rpcnode.utils.concurrency",
    "rpcnode.utils.retry",
    "rpcnode.web",
    "rpcnode.web.handlers",
    "rpcnode.web.server",
    "rpcnode.web.websocket",
    "rpcnode.websocket",
}
# Names of keys, and small functions: what Nameko's users expect there exists nowhere else.
PUBLIC_MODULES_WITH_CODE = {
    "rpcnode.constants",
    "rpcnode.log_helpers",
    "rpcnode.utils",
    "rpcnode.utils.concurrency",
    "rpcnode.utils.retry",
}

# Here the patch, or a user's choice, must come before the import.
MAY_IMPORT_IN_FUNCTIONS = {"rpcnode.cli.main", "rpcnode.pytest_plugin", "rpcnode.pytest_rabbit"}

AMQP_USERS = (
    "rpcnode.amqp.*",
    "rpcnode.extensions.messaging",
    "rpcnode.serialization",
    "rpcnode.standalone.*",
)
WERKZEUG_USERS = (
    "rpcnode.httpd.*",
    "rpcnode.extensions.http",
    "rpcnode.extensions.web.*",
    "rpcnode.extensions.websocket",
    "rpcnode.testing.http",
)
IMPORTERS_OF = {
    "amqp": AMQP_USERS,
    "eventlet": ("rpcnode.concurrency.backend",),
    "greenlet": ("rpcnode.concurrency.backend",),
    "httptools": ("rpcnode.httpd.*",),
    "kombu": AMQP_USERS,
    "mock": ("rpcnode.testing.*",),
    "msgpack": ("rpcnode.serialization",),
    "pytest": ("rpcnode.pytest_plugin", "rpcnode.pytest_rabbit", "rpcnode.cli.*"),
    "vine": ("rpcnode.amqp.*",),
    "websockets": ("rpcnode.httpd.*",),
    "werkzeug": WERKZEUG_USERS,
    "yaml": ("rpcnode.config",),
    # What they load can run code of whoever wrote it.
    "marshal": (),
    "pickle": (),
    "shelve": (),
}

# (who, never imports)
FORBIDDEN = (
    ("rpcnode.containers", "rpcnode.amqp.*"),
    ("rpcnode.amqp.*", "rpcnode.extensions.*"),
    ("rpcnode.amqp.*", "rpcnode.containers"),
    ("rpcnode.amqp.*", "rpcnode.proxies"),
    ("rpcnode.amqp.*", "rpcnode.httpd.*"),
    ("rpcnode.httpd.*", "rpcnode.extensions.*"),
    ("rpcnode.httpd.*", "rpcnode.containers"),
    ("rpcnode.httpd.*", "rpcnode.proxies"),
    ("rpcnode.httpd.*", "rpcnode.amqp.*"),
    ("rpcnode.proxies", "rpcnode.amqp.*"),
    ("rpcnode.extensions.*", "rpcnode.containers"),
)

Rule = Callable[[list[Module], list[Import]], list[str]]


def is_in(name: str, pattern: str) -> bool:
    """Return whether the module `name` is `pattern`, or lies in it if it is a starred package."""
    package = pattern.removesuffix(".*")
    return name == package or (pattern != package and name.startswith(f"{package}."))


def level_of(name: str) -> int | None:
    """Return the level of a module, None where the table does not have it."""
    if name in PUBLIC_MODULES:
        return LEVELS["rpcnode.runners"]
    return next((level for pattern, level in LEVELS.items() if is_in(name, pattern)), None)


def modules_without_level(modules: list[Module], imports: list[Import]) -> list[str]:
    return [module.name for module in modules if level_of(module.name) is None]


def imports_from_above(modules: list[Module], imports: list[Import]) -> list[str]:
    # An import for types alone is not executed: it may name what is above.
    return [str(found) for found in imports if not found.is_for_types and points_up(found)]


def points_up(found: Import) -> bool:
    level, target_level = level_of(found.module), level_of(found.target)
    return level is not None and target_level is not None and target_level > level


def circles(modules: list[Module], imports: list[Import]) -> list[str]:
    executed = [found for found in imports if not found.is_for_types]
    return find_circle([found for found in executed if found.package == "rpcnode"])


def relative_imports(modules: list[Module], imports: list[Import]) -> list[str]:
    return [str(found) for found in imports if found.is_relative]


def imports_in_functions(modules: list[Module], imports: list[Import]) -> list[str]:
    inside = [found for found in imports if found.is_in_function]
    return [str(found) for found in inside if found.module not in MAY_IMPORT_IN_FUNCTIONS]


def forbidden_imports(modules: list[Module], imports: list[Import]) -> list[str]:
    return [
        str(found)
        for found in imports
        for importer, target in FORBIDDEN
        if is_in(found.module, importer) and is_in(found.target, target)
    ]


def containers_that_know_an_extension(modules: list[Module], imports: list[Import]) -> list[str]:
    known = ("rpcnode.extensions", "rpcnode.extensions.base")
    return [
        str(found)
        for found in imports
        if found.module == "rpcnode.containers"
        and is_in(found.target, "rpcnode.extensions.*")
        and found.target not in known
    ]


def imports_of_public_modules(modules: list[Module], imports: list[Import]) -> list[str]:
    return [
        str(found)
        for found in imports
        if found.target in PUBLIC_MODULES and not is_in(found.module, "rpcnode.web.*")
    ]


def foreign_imports(modules: list[Module], imports: list[Import]) -> list[str]:
    ours = sys.stdlib_module_names - IMPORTERS_OF.keys() | {"rpcnode"}
    return [
        str(found)
        for found in imports
        if found.package not in ours
        and not any(is_in(found.module, who) for who in IMPORTERS_OF.get(found.package, ()))
    ]


def public_modules_with_code(modules: list[Module], imports: list[Import]) -> list[str]:
    public = [module for module in modules if module.name in PUBLIC_MODULES]
    return [
        module.name
        for module in public
        if module.name not in PUBLIC_MODULES_WITH_CODE and not re_exports_only(module)
    ]


def re_exports_only(module: Module) -> bool:
    """Return whether a module is a docstring, imports from the package, and `__all__`."""
    docstring, *imported, exported = module.tree.body
    return (
        isinstance(docstring, ast.Expr)
        and all(isinstance(node, ast.ImportFrom) for node in imported)
        and isinstance(exported, ast.Assign)
        and ast.unparse(exported.targets[0]) == "__all__"
    )


def imports_of_the_package_itself(modules: list[Module], imports: list[Import]) -> list[str]:
    return [str(found) for found in imports if found.module == "rpcnode"]


def standalone_with_green_threads(modules: list[Module], imports: list[Import]) -> list[str]:
    reached = {module.name for module in modules if is_in(module.name, "rpcnode.standalone.*")}
    todo = list(reached)
    while todo:
        module = todo.pop()
        targets = {found.target for found in imports if found.module == module} - reached
        reached |= targets
        todo.extend(targets)
    return ["rpcnode.standalone reaches rpcnode.concurrency"] * ("rpcnode.concurrency" in reached)


RULES: list[Rule] = [
    modules_without_level,
    imports_from_above,
    circles,
    relative_imports,
    imports_in_functions,
    forbidden_imports,
    containers_that_know_an_extension,
    imports_of_public_modules,
    foreign_imports,
    public_modules_with_code,
    imports_of_the_package_itself,
    standalone_with_green_threads,
]

OFFENCES: list[tuple[Rule, dict[str, str]]] = [
    (modules_without_level, {"rpcnode.novelty": ""}),
    (modules_without_level, {"rpcnode.extensions.novelty": ""}),
    (imports_from_above, {"rpcnode.workers": "import rpcnode.runners"}),
    (imports_from_above, {"rpcnode.context": "from rpcnode import proxies", "rpcnode.proxies": ""}),
    (
        circles,
        {
            "rpcnode.amqp.one": "from rpcnode.amqp.two import two",
            "rpcnode.amqp.two": "if True:\n    import rpcnode.amqp.one",
        },
    ),
    (relative_imports, {"rpcnode.runners": "from . import containers"}),
    (imports_in_functions, {"rpcnode.runners": "class A:\n  def b(self):\n    import json"}),
    (forbidden_imports, {"rpcnode.containers": "from rpcnode.amqp.connection import Link"}),
    (
        forbidden_imports,
        {
            "rpcnode.extensions.timer": (
                "if TYPE_CHECKING:\n    from rpcnode.containers import ServiceContainer"
            )
        },
    ),
    (containers_that_know_an_extension, {"rpcnode.containers": "import rpcnode.extensions.rpc"}),
    (imports_of_public_modules, {"rpcnode.cli.shell": "from rpcnode.rpc import rpc"}),
    (
        imports_of_public_modules,
        {"rpcnode.cli.shell": "from rpcnode import rpc", "rpcnode.rpc": ""},
    ),
    (foreign_imports, {"rpcnode.amqp.transport": "from eventlet import sleep"}),
    (foreign_imports, {"rpcnode.config": "import requests"}),
    (foreign_imports, {"rpcnode.serialization": "import pickle"}),
    (
        public_modules_with_code,
        {"rpcnode.rpc": '"""Rpc."""\n\ndef rpc(): ...\n\n__all__ = ["rpc"]'},
    ),
    (imports_of_the_package_itself, {"rpcnode": "import os"}),
    (
        standalone_with_green_threads,
        {
            "rpcnode.standalone.rpc": "import rpcnode.amqp.transport",
            "rpcnode.amqp.transport": "from rpcnode.concurrency import spawn",
            "rpcnode.concurrency": "",
        },
    ),
]


@pytest.mark.parametrize("rule", RULES)
def test_source_follows_the_rule(rule: Rule) -> None:
    modules = read_package(PACKAGE)

    offences = rule(modules, imports_of(modules))

    assert offences == []


@pytest.mark.parametrize(("rule", "sources"), OFFENCES)
def test_offence_is_found(rule: Rule, sources: dict[str, str]) -> None:
    modules = [Module(name, source) for name, source in sources.items()]

    offences = rule(modules, imports_of(modules))

    assert offences


def test_every_rule_is_proved_by_an_offence() -> None:
    assert {rule for rule, _ in OFFENCES} == set(RULES)
