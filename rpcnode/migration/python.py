"""Python files: what moves, and what relies on something that is different."""

import ast
import warnings

from rpcnode.migration.bindings import Bindings
from rpcnode.migration.findings import Analysis, Finding, Source, Unreadable
from rpcnode.migration.relying import find_reliance
from rpcnode.migration.renaming import rename


def analyse_python(source: Source) -> Analysis:
    """Return what a module has. Raises Unreadable when it is no Python 3."""
    bindings = Bindings(parse(source.text))
    found = rename(source, bindings)
    found.add(find_reliance(bindings))
    found.findings |= {
        Finding(node.lineno, "extension-package", name)
        for node in bindings.nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in _packages(node)
        if name.startswith("nameko_")
    }
    return found


def parse(text: str) -> ast.Module:
    """Return the syntax tree of a module, without a word about how it is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes: the code is not ours
        try:
            return ast.parse(text)
        except SyntaxError as exc:
            where = "" if exc.lineno is None else f" (line {exc.lineno})"
            raise Unreadable(f"it does not parse as Python 3: {exc.msg}{where}") from exc
        except (ValueError, RecursionError, MemoryError) as exc:
            raise Unreadable(f"it does not parse as Python 3: {exc or type(exc).__name__}") from exc


def _packages(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]] if node.level == 0 else []
    return [alias.name.partition(".")[0] for alias in node.names]
