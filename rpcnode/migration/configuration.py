"""YAML files: Nameko's configuration keys, and the classes and loggers that are named there."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rpcnode.config import parse_yaml
from rpcnode.exceptions import ConfigurationError
from rpcnode.migration import catalogue
from rpcnode.migration.findings import NEW, OLD, Analysis, Edit, Finding, Source, Unreadable

_KEYS = (
    "AMQP_URI|AMQP_SSL|WEB_SERVER_ADDRESS|rpc_exchange|max_workers|parent_calls_tracked|"
    "SERVICE_CONTAINER_CLS|AUTO_DELETE_EVENT_EXCHANGES|DECLARE_EVENT_EXCHANGES|SERIALIZERS|"
    "TRANSPORT_OPTIONS|LOGIN_METHOD|PREFETCH_COUNT"
)
_IS_CONFIGURATION = re.compile(rf"^(?:{_KEYS})[ \t]*:", re.MULTILINE | re.IGNORECASE)
_KEY = re.compile(r"(?:(?<=[{,\s])|^)[\"']?(nameko(?:\.\w+)*)[\"']?[ \t]*:(?=\s|$)", re.MULTILINE)
_PATH = re.compile(r"(?<![\w./@-])nameko(?:\.[^\W\d]\w*)+(?![\w/-])")
_RETRIES = {"max_retries", "interval_start", "interval_step", "interval_max"}


def is_configuration(text: str) -> bool:
    """Return whether a YAML text sets, at its margin, a key that is Nameko's."""
    return _IS_CONFIGURATION.search(text) is not None


def analyse_configuration(source: Source) -> Analysis:
    """Return what a configuration has. Raises Unreadable when it is no YAML."""
    try:
        values = parse_yaml(source.text, {}, "it does not parse as YAML")
    except ConfigurationError as exc:
        raise Unreadable(str(exc)) from exc
    found = Analysis()
    _rename_loggers(source, found)
    _rename_paths(source, found)
    for name, value in values.items() if isinstance(values, Mapping) else ():
        for rule in _rules_for(str(name).upper(), value):
            found.findings.add(Finding(_line_of_key(source, str(name)), rule))
    return found


def _rename_loggers(source: Source, found: Analysis) -> None:
    for match in source.outside_comments(_KEY):
        if match[1] == OLD:
            found.edits.add(Edit(*match.span(1), NEW))
        else:
            found.findings.add(Finding(source.line_of(match.start(1)), "logger-name", match[1]))


def _rename_paths(source: Source, found: Analysis) -> None:
    keys = {match.start(1) for match in _KEY.finditer(source.text)}
    for match in source.outside_comments(_PATH):
        if match.start() in keys:
            continue
        if catalogue.has(match[0]):
            found.edits.add(Edit(match.start(), match.start() + len(OLD), NEW))
        else:
            detail = ": ".join(filter(None, (match[0], catalogue.advice(match[0]))))
            found.findings.add(Finding(source.line_of(match.start()), "not-there", detail))


def _line_of_key(source: Source, name: str) -> int:
    match = re.search(rf"^[\"']?{re.escape(name)}[\"']?[ \t]*:", source.text, re.MULTILINE)
    return source.line_of(match.start()) if match else 1


def _rules_for(name: str, value: Any) -> Iterator[str]:
    relies = _RELIANCE.get(name)
    if relies is not None and relies[1](value):
        yield relies[0]


def _has_retries(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(_RETRIES & value.keys())


def _names_no_host(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return value is True
    return not {"server_hostname", "check_hostname"} & value.keys()


def _is_pickle(value: Any) -> bool:
    return "pickle" in (value if isinstance(value, list) else [value])


_RELIANCE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "TRANSPORT_OPTIONS": ("transport-options", _has_retries),
    "AMQP_SSL": ("tls-host", _names_no_host),
    "SERIALIZER": ("pickle", _is_pickle),
    "ACCEPT": ("pickle", _is_pickle),
}
