"""Edits that move Python code: the word in imports, in what uses them, and in dotted texts."""

import ast
import re
from collections.abc import Iterator

from rpcnode.migration import catalogue
from rpcnode.migration.bindings import (
    Bindings,
    Use,
    chain,
    imports_from,
    is_below,
    names_bound_otherwise,
)
from rpcnode.migration.findings import NEW, OLD, Analysis, Edit, Finding, Source

_DOTTED = re.compile(r"(?:nameko|rpcnode)(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")
_FROM = re.compile(r"from(?:[ \t\f]|\\\r?\n)+(?=nameko\b)")
_QUOTE = re.compile(r"[rRuUbB]{0,2}(?:'''|\"\"\"|'|\")(?=nameko)")
_WORD = re.compile(r"(?<![\w.-])nameko(?![\w])", re.IGNORECASE)

# Functions whose first argument, if it is a text, is the path of a module or of what is in one.
PATCHES = {"patch", "setattr", "delattr"}
LOADERS = {"import_module", "importorskip", "import_from_path", "__import__", "resolve_name"}
LOGGERS = {"getLogger"}


def rename(source: Source, bindings: Bindings) -> Analysis:
    """Return the edits that move a module, and what cannot move."""
    return _Renaming(source, bindings).analysis()


class _Renaming:
    def __init__(self, source: Source, bindings: Bindings) -> None:
        self.source = source
        self.bindings = bindings
        self.found = Analysis()
        self.missing: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def analysis(self) -> Analysis:
        if self._has_two_meanings():
            return self.found
        self._move_roots()
        for node in self.bindings.nodes:
            if imports_from(node, OLD):
                self._move_import_from(node)
            elif isinstance(node, ast.Import):
                self._move_aliases(node)
            elif isinstance(node, ast.Call):
                self._move_text(node)
        self._note_texts()
        return self.found

    def _has_two_meanings(self) -> bool:
        if OLD not in self.bindings.paths:
            return False
        lines = [
            line for name in (OLD, NEW) for line in names_bound_otherwise(self.bindings.nodes, name)
        ]
        for line in lines:
            self._say(line, "two-meanings")
        return bool(lines)

    def _move_roots(self) -> None:
        """Move `import nameko.rpc`: the name `nameko` is bound, and all its uses move, or none."""
        imports = [
            alias
            for node in self.bindings.nodes
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.asname is None and is_below(alias.name, OLD)
        ]
        uses = self._uses_of(OLD)
        missing = [(alias.lineno, alias.name) for alias in imports if not catalogue.has(alias.name)]
        missing += [(use.name.lineno, use.dotted) for use in uses if not catalogue.has(use.dotted)]
        for line, dotted in missing:
            self._say_missing(line, dotted)
        if not missing:
            nodes = [(each.lineno, each.col_offset) for each in imports]
            nodes += [(use.name.lineno, use.name.col_offset) for use in uses]
            for node in nodes:
                self._replace(self.source.offset(*node))

    def _move_aliases(self, node: ast.Import) -> None:
        """Move `import nameko.rpc as r`."""
        for alias in node.names:
            if alias.asname is None or not is_below(alias.name, OLD):
                continue
            if not self._complain(alias.lineno, alias.name, alias.asname):
                self._replace(self.source.offset(alias.lineno, alias.col_offset))

    def _move_import_from(self, node: ast.ImportFrom) -> None:
        """Move `from nameko.rpc import rpc, RpcProxy as Proxy`, if all of it is there."""
        complaints = [
            self._complain(alias.lineno, f"{node.module}.{alias.name}", alias.asname or alias.name)
            for alias in node.names
            if alias.name != "*"
        ]
        if not complaints and not catalogue.has(str(node.module)):
            self._say_missing(node.lineno, str(node.module))
        elif not any(complaints):
            self._replace_after(_FROM, node)

    def _complain(self, line: int, dotted: str, local: str) -> bool:
        """Say what is missing of an import and its uses; return whether anything is."""
        if not catalogue.has(dotted):
            missing = [(line, dotted)]
        else:
            missing = self._missing_below(dotted, local)
        for where, path in missing:
            self._say_missing(where, path)
        return bool(missing)

    def _missing_below(self, dotted: str, local: str) -> list[tuple[int, str]]:
        """Return what uses of a local name look for in what it stands for, and do not find."""
        if (dotted, local) not in self.missing:  # many statements may import the same
            self.missing[dotted, local] = [
                (use.name.lineno, use.dotted)
                for use in self._uses_of(local)
                if is_below(use.dotted, dotted) and not catalogue.has(use.dotted)
            ]
        return self.missing[dotted, local]

    def _uses_of(self, local: str) -> list[Use]:
        return [use for use in self.bindings.uses.get(local, []) if is_below(use.dotted, OLD)]

    def _move_text(self, call: ast.Call) -> None:
        """Move `mock.patch("nameko.rpc.rpc")`."""
        function = _function_name(call)
        first = call.args[0] if call.args else None
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            return
        if not _DOTTED.fullmatch(first.value):
            return
        dotted = first.value.replace(":", ".")
        is_missing = is_below(dotted, OLD) and not catalogue.has(dotted)
        if function in PATCHES | LOADERS and is_missing:
            self._say_missing(first.lineno, first.value)
            return
        if function in PATCHES:
            self._say(first.lineno, "patched-name", first.value)
        if function in LOGGERS and is_below(dotted, OLD) and dotted != OLD:
            self._say(first.lineno, "logger-name", first.value)
        elif function in PATCHES | LOADERS | LOGGERS and is_below(dotted, OLD):
            self._replace_after(_QUOTE, first)

    def _note_texts(self) -> None:
        for line, text in _texts(self.bindings.nodes):
            if _WORD.search(text):
                self._say(line, "text")

    def _replace_after(self, opening: re.Pattern[str], node: ast.stmt | ast.expr) -> None:
        start = self.source.offset(node.lineno, node.col_offset)
        match = opening.match(self.source.text, start)
        self._replace(start if match is None else match.end())

    def _replace(self, start: int) -> None:
        end = start + len(OLD)
        if self.source.text[start:end] == OLD:
            self.found.edits.add(Edit(start, end, NEW))
        else:  # an escape, or letters that Python takes for these
            self._say(self.source.line_of(start), "unusual-spelling")

    def _say_missing(self, line: int, dotted: str) -> None:
        advice = catalogue.advice(dotted)
        self._say(line, "not-there", f"{dotted}: {advice}" if advice else dotted)

    def _say(self, line: int, rule: str, detail: str = "") -> None:
        self.found.findings.add(Finding(line, rule, detail))


def _function_name(call: ast.Call) -> str:
    path = chain(call.func)
    if len(path) > 1 and path[-2] == "patch" and path[-1] in ("dict", "multiple"):
        return "patch"
    return path[-1] if path else ""


def _texts(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the line of each text that is not documentation, and the text."""
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if not isinstance(node, ast.Constant) or id(node) in documentation:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value
