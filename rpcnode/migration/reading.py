"""Files: which of the analyses fit, and their text with everything that is to be kept."""

import io
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rpcnode.migration.configuration import analyse_configuration, is_configuration
from rpcnode.migration.findings import NEW, OLD, Analysis, Source, Unreadable
from rpcnode.migration.project import (
    LOCKS,
    analyse_commands,
    analyse_lines,
    analyse_lock,
    analyse_quoted,
)
from rpcnode.migration.python import analyse_python
from rpcnode.migration.tree import LARGEST, LONGEST_LINE

Analyse = Callable[[Source], Analysis]

_INI = {".cfg", ".ini"}
_COMMANDS = {".bat", ".conf", ".mk", ".service", ".sh", ".toml", *_INI}
_NAMES = {"Makefile", "Procfile", "Jenkinsfile", "Pipfile", "justfile", "GNUmakefile"}
# A file without any of these has nothing to do with either of the two.
_WORDS = (OLD, NEW, "call_async")


@dataclass(frozen=True)
class Text:
    """The text of a file, how it was encoded, and the bytes that it was."""

    text: str
    encoding: str
    data: bytes


def analyses_for(path: Path, data: bytes) -> list[Analyse]:
    """Return what is to be asked of a file, by its name, or by its first line."""
    if path.name in LOCKS:
        return [analyse_lock]
    if path.suffix in (".yaml", ".yml"):
        return [_yaml]
    if _is_requirements(path):
        return [analyse_lines, analyse_commands]
    if is_python(path, data):
        return [analyse_python, *([analyse_quoted] if path.name == "setup.py" else [])]
    found: list[Analyse] = []
    if path.suffix in _INI:
        found.append(analyse_lines)
    if path.suffix == ".toml" or path.name == "Pipfile":
        found.append(analyse_quoted)
    if _has_commands(path) or data.startswith(b"#!"):
        found.append(analyse_commands)
    return found


def _has_commands(path: Path) -> bool:
    is_known = path.suffix in _COMMANDS or path.name in _NAMES
    return is_known or "dockerfile" in path.name.lower()


def is_python(path: Path, data: bytes) -> bool:
    """Return whether a file is a Python module, or a script without a suffix."""
    if path.suffix in (".py", ".pyi"):
        return True
    first = data[:200].partition(b"\n")[0]
    return not path.suffix and first.startswith(b"#!") and b"python" in first


def _is_requirements(path: Path) -> bool:
    is_list = path.suffix in (".txt", ".in", ".pip")
    words = ("requirement", "constraint")
    return is_list and any(word in f"{path.parent.name}/{path.name}".lower() for word in words)


def _yaml(source: Source) -> Analysis:
    found = analyse_commands(source)
    if is_configuration(source.text):
        found.add(analyse_configuration(source))
    return found


def read(path: Path) -> bytes:
    """Return what is in a file. Raises Unreadable when it is too large, or not to be read."""
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"it is larger than {LARGEST // 1024 // 1024} MiB")
        return path.read_bytes()
    except OSError as exc:
        raise Unreadable(f"it cannot be read: {exc.strerror}") from exc


def is_of_interest(path: Path, data: bytes) -> bool:
    """Return whether a file can have anything to do with Nameko, or with rpcnode."""
    is_yaml = path.suffix in (".yaml", ".yml")
    if is_yaml and is_configuration(data.decode("utf-8", "replace")):
        return True
    if b"\0" in data[:4]:  # UTF-16 or UTF-32: the words would not be seen
        return path.suffix in (".py", ".pyi")
    return any(word.encode() in data for word in _WORDS)


def decode(path: Path, data: bytes) -> Text:
    """Return the text in the bytes of a file. Raises Unreadable when it is not what it says.

    That is UTF-8, with or without a byte order mark, or what a Python file says at its top.
    """
    try:
        encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
        if is_python(path, data):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = Text(data.decode(encoding), encoding, data)
        is_kept = text.text.encode(encoding) == data
    except (UnicodeError, SyntaxError, LookupError) as exc:
        raise Unreadable("it is no UTF-8, and says nothing else about itself") from exc
    if not is_kept:  # "utf-7" has two ways to write a letter, for example
        raise Unreadable(f"its encoding, {encoding}, would not give the same bytes again")
    if max(map(len, text.text.split("\n"))) > LONGEST_LINE:
        raise Unreadable(f"it has a line of more than {LONGEST_LINE} characters")
    return text
