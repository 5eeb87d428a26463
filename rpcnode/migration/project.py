"""Files around the code: requirements, and commands in Dockerfiles, Makefiles and the like."""

import re
from bisect import bisect_right
from collections.abc import Sequence

from rpcnode.migration.findings import NEW, OLD, Analysis, Edit, Finding, Source

# Flags, between a quote and the next, or a list's dash and the next, do not come in between.
_COMMAND = re.compile(
    r"(?<![\w.@=-])(?P<word>nameko|rpcnode)"
    r"(?=(?:[ \t]+|[ \t]*,[ \t]*|[\"'][ \t]*,?\s*(?:-[ \t]*)?[\"']|[ \t]*\r?\n[ \t]*-[ \t]*)"
    r"(?P<command>run|shell|show-config|test|backdoor)\b(?![\w.-]))"
)
# Possessive (`++`): there is one way to read these, and no text makes it try others for hours.
_VERSION = r"(?:[ \t]*+[<>=!~]=?+=?+[ \t]*+v?+\d[\w.*+!-]*+(?:[ \t]*+,)?+)"
_REQUIREMENT = rf"nameko(?P<extras>[ \t]*\[[^\]\n]*\])?{_VERSION}*+"
_LINE = re.compile(
    rf"^[ \t]*(?:(?:-[ \t]+)|(?:deps|requires|install_requires|tests_require)[ \t]*=[ \t]*)?"
    rf"(?P<all>{_REQUIREMENT})(?P<rest>[ \t]*(?:[;#\\].*|--hash.*)?\r?)$",
    re.MULTILINE,
)
_QUOTED = re.compile(
    rf"(?P<quote>[\"'])(?P<all>{_REQUIREMENT})(?P<rest>[ \t]*(?:;[^\"'\n]*)?)(?P=quote)"
)
_TABLE = re.compile(
    r"^nameko[ \t]*=[ \t]*(?P<value>(?P<quote>[\"'])[\^~<>=!*\d][^\"'\n]*(?P=quote)|\{.*)",
    re.MULTILINE,
)
_INSTALL = re.compile(r"\b(?:pip3?|uv)(?:[ \t]+pip)?[ \t]+(?:install|add)\b[^\n]*")
_INSTALLED = re.compile(rf"(?<=[ \t\"'])(?P<all>{_REQUIREMENT})(?P<rest>)(?=[ \t\"'\\]|$)")
_EXTENSION = re.compile(r"(?<![\w./@-])nameko[-_](?!rpc\b)[a-z0-9][a-z0-9_-]*", re.IGNORECASE)
_OPENING = re.compile(
    r"(?:install_requires|tests_require|setup_requires|extras_require|dependencies|requires|"
    r"dependency-groups|optional-dependencies)[\"']?\s*[=:]\s*[\[{(]"
)
_BRACKET = re.compile(r"[\[\](){}]")
_WORD = re.compile(r"(?<![\w.-])nameko(?![\w-])", re.IGNORECASE)
LOCKS = {"poetry.lock", "Pipfile.lock", "uv.lock", "pdm.lock"}


def analyse_lock(source: Source) -> Analysis:
    """Return what a file has that a tool has made: nothing to edit in any case."""
    match = re.search(r"(?<![\w-])nameko(?![\w-])", source.text)
    found = Analysis()
    if match is not None:
        found.findings.add(Finding(source.line_of(match.start()), "requirement"))
    return found


def analyse_commands(source: Source) -> Analysis:
    """Return the calls of `nameko`, and what `pip install` is told, in any text."""
    found = Analysis()
    for match in source.outside_comments(_COMMAND):
        _command(source, match, found)
    for line in source.outside_comments(_INSTALL):
        for match in _INSTALLED.finditer(source.text, line.start(), line.end()):
            _requirement(source, match, found)
        for match in _EXTENSION.finditer(source.text, line.start(), line.end()):
            _extension(source, match, found)
    return found


def note_words(source: Source) -> Analysis:
    """Return where else the word stands, comments left out."""
    lines = {source.line_of(match.start()) for match in source.outside_comments(_WORD)}
    return Analysis(findings={Finding(line, "text") for line in lines})


def analyse_lines(source: Source) -> Analysis:
    """Return the requirements in a file that has each on a line of its own."""
    found = Analysis()
    for match in _LINE.finditer(source.text):
        _requirement(source, match, found)
    for match in source.outside_comments(_EXTENSION):
        _extension(source, match, found)
    return found


def analyse_quoted(source: Source) -> Analysis:
    """Return the requirements in a file, such as `setup.py`, that has them in quotes."""
    found = Analysis()
    lists = _lists_of_requirements(source.text)
    for match in source.outside_comments(_QUOTED):
        has_version = match["all"] != OLD or ";" in match["rest"]
        if has_version or _is_in(lists, match.start()):
            _requirement(source, match, found)
    for match in _TABLE.finditer(source.text):
        if match["value"].startswith("{"):
            found.findings.add(Finding(source.line_of(match.start()), "requirement"))
        else:
            found.edits.add(Edit(*match.span(), f'{NEW} = "*"'))
    for match in source.outside_comments(_EXTENSION):
        if source.text[match.start() - 1 : match.start()] in ('"', "'", "\n"):
            _extension(source, match, found)
    return found


def _requirement(source: Source, match: re.Match[str], found: Analysis) -> None:
    rest = match["rest"]
    if match["extras"] or "--hash" in rest or rest.rstrip().endswith("\\"):
        found.findings.add(Finding(source.line_of(match.start("all")), "requirement"))
    else:
        found.edits.add(Edit(*match.span("all"), NEW))


def _extension(source: Source, match: re.Match[str], found: Analysis) -> None:
    found.findings.add(Finding(source.line_of(match.start()), "extension-package", match[0]))


def _command(source: Source, match: re.Match[str], found: Analysis) -> None:
    line = source.line_of(match.start())
    text = source.line(line)
    if match["command"] == "backdoor":
        found.findings.add(Finding(line, "command", "`telnet localhost PORT`"))
    elif match["word"] == OLD:
        found.edits.add(Edit(*match.span("word"), NEW))
    if "--broker" in text and "--config" in text:
        detail = "`--broker` beats the file of `--config`; Nameko ignored it"
        found.findings.add(Finding(line, "command", detail))


def _lists_of_requirements(text: str) -> list[range]:
    """Return where the brackets of lists of requirements are, in order, none within another."""
    found: list[range] = []
    for opening in _OPENING.finditer(text):
        if not found or opening.end() > found[-1].stop:
            found.append(range(opening.end(), _end_of(text, opening.end())))
    return found


def _end_of(text: str, start: int) -> int:
    """Return where the bracket closes that was opened before `start`."""
    depth = 1
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in "[{(" else -1
        if depth == 0:
            return bracket.start()
    return len(text)


def _is_in(lists: Sequence[range], position: int) -> bool:
    index = bisect_right(lists, position, key=lambda each: each.start)
    return index > 0 and position in lists[index - 1]
