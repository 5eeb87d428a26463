"""The log lines of the package at warning and above, as the source has them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LEVELS = ("warning", "error", "critical", "exception")
QUIET = ("DEBUG", "INFO")
PLACEHOLDER = re.compile(r"%[-+0 #]*[\d.]*[a-z]")
GAP = "…"


def log_lines(package: Path) -> Iterator[tuple[str, str]]:
    """Yield each module's path and the text of each such line, with a gap for what varies.

    A line that only repeats a text from elsewhere, an error's for example, has no text of its own.
    """
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            template = _template(node) if isinstance(node, ast.Call) else None
            if template is not None:
                yield str(file.relative_to(package)), PLACEHOLDER.sub(GAP, template)


def _template(call: ast.Call) -> str | None:
    function = call.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return None
    if function.value.id != "logger":
        return None
    if function.attr == "log":
        level, *arguments = call.args
        is_quiet = isinstance(level, ast.Attribute) and level.attr in QUIET
    else:
        arguments, is_quiet = call.args, function.attr not in LEVELS
    text = arguments[0] if arguments and not is_quiet else None
    is_text = isinstance(text, ast.Constant) and isinstance(text.value, str)
    return text.value if is_text else None
