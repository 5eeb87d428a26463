"""Which of Nameko's names rpcnode has at the same place, read from rpcnode's own source."""

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from rpcnode.migration.names import HOMONYMS, INSTEAD

PACKAGE = Path(__file__).parents[1]


@functools.cache
def has(dotted: str) -> bool:
    """Return whether rpcnode has what `dotted`, a path that begins with `nameko`, names there.

    What belongs to a class or a function is not looked at.
    """
    is_other = any(path in HOMONYMS for path in _with_parents(dotted))
    return not is_other and _exists(PACKAGE, tuple(dotted.split(".")[1:]))


def advice(dotted: str) -> str | None:
    """Return what to write instead of a name that is not here, if that is known."""
    rows = (INSTEAD[path] for path in _with_parents(dotted) if path in INSTEAD)
    return next(rows, None)


def _with_parents(dotted: str) -> list[str]:
    """Return a path, and all it is below, the package left out."""
    parts = dotted.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 1, -1)]


def _exists(package: Path, parts: tuple[str, ...]) -> bool:
    if not parts:
        return True
    first, *rest = parts
    if first.startswith("__") and first.endswith("__"):  # every module has some of these
        return True
    if (package / first / "__init__.py").exists():
        return _exists(package / first, tuple(rest))
    if (package / f"{first}.py").exists():
        return not rest or rest[0] in _names_in(package / f"{first}.py")
    return first in _names_in(package / "__init__.py")


@functools.cache
def _names_in(module: Path) -> frozenset[str]:
    body = ast.parse(module.read_bytes()).body
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))  # the source is our own
    return frozenset(_bound(body))


def _bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = ast.walk(ast.Module([node], []))
            stored = (each for each in targets if isinstance(each, ast.Name))
            yield from (each.id for each in stored if isinstance(each.ctx, ast.Store))
        elif isinstance(node, ast.If):
            yield from _bound([*node.body, *node.orelse])
