"""Which local names of a module stand for something of Nameko's."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from rpcnode.migration.findings import NEW, OLD


def is_below(dotted: str, root: str) -> bool:
    """Return whether a path is `root` or goes on from there: `nameko.rpc`, not `nameko_x`."""
    return dotted == root or dotted.startswith(f"{root}.")


def imports_from(node: ast.AST, root: str) -> TypeGuard[ast.ImportFrom]:
    """Return whether a statement is `from root... import ...`."""
    return (
        isinstance(node, ast.ImportFrom) and node.level == 0 and is_below(node.module or "", root)
    )


def chain(node: ast.AST) -> list[str]:
    """Return the names in `a.b.c`, the outermost last; empty for what is no such expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


@dataclass(frozen=True)
class Use:
    """A local name where it is used, and the path that it and its attributes stand for."""

    name: ast.Name
    dotted: str


class Bindings:
    """What a module imports of Nameko, or of rpcnode, and where it uses it.

    Scopes are not told apart: a name is taken for what is imported under it anywhere.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = list(ast.walk(tree))  # from the outside to the inside
        self.paths: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                self._import(node)
            elif imports_from(node, OLD) or imports_from(node, NEW):
                self._import_from(node)
        self.uses: dict[str, list[Use]] = {}
        for use in self._find_uses() if self.paths else ():
            self.uses.setdefault(use.name.id, []).append(use)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            root = alias.name.partition(".")[0]
            if root in (OLD, NEW):
                self.paths[alias.asname or root] = alias.name if alias.asname else root

    def _import_from(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.paths[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def _find_uses(self) -> Iterator[Use]:
        seen: set[int] = set()  # what belongs to a chain that was met from its outer end
        for node in self.nodes:
            path = [] if id(node) in seen else chain(node)
            if not path:
                continue
            inner = node
            while isinstance(inner, ast.Attribute):
                inner = inner.value
                seen.add(id(inner))
            if isinstance(inner, ast.Name) and inner.id in self.paths:
                yield Use(inner, ".".join([self.paths[inner.id], *path[1:]]))

    def path_of(self, node: ast.AST) -> str | None:
        """Return what an expression stands for, without the package: `rpc.RpcProxy`."""
        path = chain(node.func if isinstance(node, ast.Call) else node)
        if not path or path[0] not in self.paths:
            return None
        dotted = ".".join([self.paths[path[0]], *path[1:]])
        return dotted.partition(".")[2] or None


def names_bound_otherwise(nodes: Iterable[ast.AST], name: str) -> Iterator[int]:
    """Yield the lines where a name is given another meaning than that of an import."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (node.lineno for alias in node.names if _rebinds(node, alias, name))
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            yield from [node.lineno] if name in node.names else []
        elif isinstance(node, _DEFINITIONS) and _defined(node) == name:
            yield node.lineno


_DEFINITIONS = (
    ast.Name,
    ast.arg,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
)


def _defined(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    return node.arg if isinstance(node, ast.arg) else getattr(node, "name", None)


def _rebinds(node: ast.Import | ast.ImportFrom, alias: ast.alias, name: str) -> bool:
    if isinstance(node, ast.Import):
        bound = alias.asname or alias.name.partition(".")[0]
        return bound == name and not (alias.asname is None and is_below(alias.name, name))
    return (alias.asname or alias.name) == name
