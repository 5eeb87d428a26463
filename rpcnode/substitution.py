"""Environment variables in text: `${NAME}` and `${NAME:default}`, as Nameko's users write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = re.compile(r"\$\{([^{}:\s]+)[:}]")


@dataclass(frozen=True)
class Variable:
    """One `${...}` in a text: its name, its default (None without one), where it ends."""

    name: str
    default: str | None
    end: int


def variable_at(text: str, start: int) -> Variable | None:
    """Return the variable that begins at `start`; None when what is there is none.

    A default reaches to the brace that closes the first one, so it may hold pairs of braces,
    and variables.
    """
    head = _HEAD.match(text, start)
    if head is None:
        return None
    if text[head.end() - 1] == "}":
        return Variable(head[1], None, head.end())
    end = _closing_brace(text, head.end())
    return None if end is None else Variable(head[1], text[head.end() : end], end + 1)


def _closing_brace(text: str, position: int) -> int | None:
    depth = 1
    for index in range(position, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with the values of its variables, or with their defaults.

    An empty value counts as set; a variable with neither is empty. Values are taken as they
    are: variables in them are left alone.
    """
    parts = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        parts.append(text[position:start])
        variable = variable_at(text, start)
        if variable is None:
            parts.append("${")
            position = start + 2
        else:
            parts.append(_value_of(variable, environ))
            position = variable.end
    return "".join([*parts, text[position:]])


def _value_of(variable: Variable, environ: Mapping[str, str]) -> str:
    if variable.name in environ:
        return environ[variable.name]
    return substitute(variable.default or "", environ)
