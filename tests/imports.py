"""What modules import, read from their source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import: `line` of `module` brings in `target`, the dotted name of a module."""

    module: str
    line: int
    target: str
    is_in_function: bool = False
    is_for_types: bool = False
    is_relative: bool = False

    @property
    def package(self) -> str:
        """The first part of the target's name."""
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@dataclass(frozen=True)
class Module:
    """One module: its dotted name (a package's own name for its `__init__`) and its source."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.source, self.name)


def read_package(folder: Path) -> list[Module]:
    """Return all modules of the package in `folder`."""
    files = sorted(folder.rglob("*.py"))
    return [
        Module(_dotted(file, folder.parent), file.read_text(encoding="utf-8")) for file in files
    ]


def _dotted(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(modules: list[Module]) -> list[Import]:
    """Return all imports of all `modules`; `from package import module` targets the module."""
    names = {module.name for module in modules}
    return [found for module in modules for found in _Reader(module.name, names).read(module.tree)]


class _Reader:
    def __init__(self, module: str, names: set[str]) -> None:
        self.module = module
        self.names = names

    def read(
        self, node: ast.AST, *, in_function: bool = False, for_types: bool = False
    ) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                relative = isinstance(child, ast.ImportFrom) and child.level > 0
                for target in self._targets(child):
                    yield Import(
                        self.module, child.lineno, target, in_function, for_types, relative
                    )
            elif isinstance(child, ast.If) and _is_type_checking(child):
                yield from self.read(child, in_function=in_function, for_types=True)
            else:
                is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from self.read(
                    child, in_function=in_function or is_function, for_types=for_types
                )

    def _targets(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        package = node.module or ""
        submodules = [f"{package}.{alias.name}" for alias in node.names]
        modules = [name for name in submodules if name in self.names]
        return modules if len(modules) == len(submodules) else [*modules, package]


def _is_type_checking(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def find_circle(imports: list[Import]) -> list[str]:
    """Return the names of modules that import each other in a circle, or nothing."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        graph.setdefault(found.module, set()).add(found.target)
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph.get(module, ())):
            circle = visit(target, [*path, module])
            if circle:
                return circle
        done.add(module)
        return []

    circles = (visit(module, []) for module in sorted(graph))
    return next((circle for circle in circles if circle), [])
