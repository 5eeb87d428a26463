"""The configuration: where it comes from, what it holds, and what may be shown of it."""

import difflib
import logging
import os
import re
from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from rpcnode.config_keys import KEYS, Key
from rpcnode.exceptions import CommandError, ConfigurationError
from rpcnode.masking import describe, mask_secrets, mask_uri
from rpcnode.substitution import substitute, variable_at

__all__ = [
    "KEYS",
    "Config",
    "as_config",
    "load",
    "mask_secrets",
    "mask_uri",
    "parse_yaml",
    "use_as_default",
]

logger = logging.getLogger(__name__)

_KNOWN = {key.name: key for key in KEYS}
DEFAULT, DEFINE, BROKER, GIVEN = "default", "--define", "--broker", "given"


class Config(Mapping[str, Any]):
    """The effective configuration: what was set, and the defaults of all that was not.

    Keys are upper-case here and found in any case. It cannot be changed. `origins` tells where
    each value comes from; `origin` is said of the values given.
    Raises ConfigurationError for a value that cannot be what its key needs.
    """

    __slots__ = ("_values", "origins")

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        origin: str | Mapping[str, str] = GIVEN,
    ) -> None:
        given = _upper({} if values is None else values, "the configuration")
        sources = dict.fromkeys(given, origin) if isinstance(origin, str) else origin
        self._values = {key.name: copy(key.default) for key in KEYS}
        for name, value in given.items():
            self._values[name] = _checked(name, value, sources[name])
        self.origins: Mapping[str, str] = MappingProxyType(
            {
                **dict.fromkeys(_KNOWN, DEFAULT),
                **{name: sources[name] for name in given},
            }
        )

    def __getitem__(self, name: str) -> Any:
        # Workers read keys, so the exact spelling comes first and costs one look-up.
        try:
            return self._values[name]
        except KeyError:
            if isinstance(name, str) and name.upper() in self._values:
                return self._values[name.upper()]
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def copy(self) -> "ConfigCopy":
        """Return what is in it as a mapping that may be changed."""
        return ConfigCopy(self._values)

    def __repr__(self) -> str:
        given = {name: self[name] for name in self if self.origins[name] != DEFAULT}
        return f"Config({mask_secrets(given)})"


class ConfigCopy(UserDict[str, Any]):
    """A configuration that may be changed; keys are upper-case, and found in any case."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.upper())

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name.upper(), value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.upper())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.upper() if isinstance(name, str) else name)

    def __repr__(self) -> str:
        return f"ConfigCopy({mask_secrets(self.data)})"


def _upper(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of keys, not {describe(values)}")
    result: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{where}: a key must be a text, not {name!r}")
        if name.upper() in result:
            raise ConfigurationError(f"{where} sets {name.upper()} twice, in different spellings")
        result[name.upper()] = value
    return result


def _checked(name: str, value: Any, origin: str) -> Any:
    key: Key | None = _KNOWN.get(name)
    if key is None:
        return value
    if value in key.unset and value is not False:  # False equals 0
        return copy(key.default)
    if key.check.accepts(value):
        return value
    shown = mask_secrets(value, name)
    raise ConfigurationError(f"{name} must be {key.check.expected}, not {shown!r} ({origin})")


class _ProcessDefault:
    """The configuration of those who are given none."""

    def __init__(self) -> None:
        self.config = Config()


_process_default = _ProcessDefault()  # module state, because Nameko's users share one config


def use_as_default(config: Config | Mapping[str, Any] | None) -> None:
    """Give `config` to all who are given none; None means the defaults of all keys again."""
    _process_default.config = Config() if config is None else as_config(config)


def as_config(config: Config | Mapping[str, Any] | None) -> Config:
    """Return `config` as a Config, the process default for None."""
    if config is None:
        return _process_default.config
    if isinstance(config, Config):
        return config
    result = Config(config)
    _warn_of_unknown(result)
    return result


def load(
    file: str | Path | None = None,
    *,
    broker: str | None = None,
    defines: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    default_uri: str | None = None,
) -> Config:
    """Return the configuration of a command.

    What is defined (`KEY=VALUE`, the value in YAML, or `KEY` for true) beats `broker`, which
    beats AMQP_URI in the environment (empty counts as not set), which beats the YAML `file`,
    which beats the defaults; `default_uri` is another default of AMQP_URI. Raises
    ConfigurationError for what cannot be read or cannot work.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def put(layer: Mapping[str, Any], origin: str) -> None:
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))

    if default_uri is not None:
        put({"AMQP_URI": default_uri}, DEFAULT)
    if file is not None:
        put(_upper(_read(file, environ), str(file)), f"--config {file}")
    if environ.get("AMQP_URI"):
        put({"AMQP_URI": environ["AMQP_URI"]}, "environment AMQP_URI")
    if broker is not None:
        put({"AMQP_URI": broker}, BROKER)
    for define in defines:
        put(_parse_define(define, environ), DEFINE)
    config = Config(values, origins)
    _warn_of_unknown(config)
    return config


def _parse_define(define: str, environ: Mapping[str, str]) -> dict[str, Any]:
    name, separator, text = define.partition("=")
    name = name.strip().upper()
    if not name:
        raise CommandError(f"--define {define}: expected KEY=VALUE")
    return {name: parse_yaml(text, environ, f"--define {name}") if separator else True}


def _warn_of_unknown(config: Config) -> None:
    unknown = [name for name in config if name not in _KNOWN]
    if unknown:
        logger.warning(
            "rpcnode does not know these configuration keys: %s",
            ", ".join(map(_hint, unknown)),
        )


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
    return f"{name} (did you mean {near[0]}?)" if near else name


def _read(file: str | Path, environ: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8 text"
        raise ConfigurationError(f"cannot read {file}: {reason}") from exc
    values = parse_yaml(text, environ, str(file))
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{file} must hold a mapping of keys to values")
    return values


def parse_yaml(text: str, environ: Mapping[str, str], name: str) -> Any:
    """Return the value of a YAML text with `${NAME}` and `${NAME:default}` in it.

    Raises ConfigurationError, which says `name` and the line.
    """
    try:
        return _Loader(text, environ, name).value()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ConfigurationError(f"{name}{line}: {exc.problem or exc.context}") from exc
    except (yaml.YAMLError, ValueError) as exc:  # a date that no calendar has is a ValueError
        raise ConfigurationError(f"{name}: it is no YAML: {exc}") from exc
    except RecursionError:
        raise ConfigurationError(f"{name}: it is nested too deeply") from None


_CIRCULAR = "the value of a variable leads to itself"
_NO_YAML = "this is no YAML once its variables have their values; try !raw_env_var"


class _Loader(yaml.SafeLoader):
    """Reads YAML whose unquoted texts may hold variables of the environment.

    What stands there once they have their values is read as YAML again, variables in it
    included. `!env_var` asks for the same in a quoted text, `!raw_env_var` for the text itself.
    """

    deepest = 20  # values that lead to other values

    def __init__(self, text: str, environ: Mapping[str, str], name: str, depth: int = 0) -> None:
        super().__init__(text)
        self.name = name
        self._environ = environ
        self._depth = depth
        self._is_in_plain_text = False
        self._variable_end = 0

    def value(self) -> Any:
        """Return what the text means."""
        try:
            return self.get_single_data()
        finally:
            self.dispose()

    def scan_plain(self) -> Any:
        """Scan a text without quotes; called by the scanner."""
        self._is_in_plain_text = True
        try:
            return super().scan_plain()
        finally:
            self._is_in_plain_text = False

    def peek(self, index: int = 0) -> str:
        """Return the character `index` places ahead; called by the scanner."""
        character: str = super().peek(index)
        if not self._is_in_plain_text:
            return character
        # To YAML the inside of `${...}` is letters: braces, commas, colons and spaces in it
        # do not end the text.
        position = self.pointer + index
        if character == "$" and position >= self._variable_end:
            variable = variable_at(self.buffer, position)
            if variable is not None and "\n" not in self.buffer[position : variable.end]:
                self._variable_end = variable.end
        return "x" if position < self._variable_end else character

    def construct_env_var(self, node: yaml.ScalarNode) -> Any:
        """Return what a text with variables means; called by the constructor."""
        text = self.construct_scalar(node)
        result = substitute(text, self._environ)
        if result == text:
            return text
        try:
            return self._inner(result).value()
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            if self._depth > 0:
                raise
            # The text itself must not be shown: there may be a password in it.
            is_circular = isinstance(exc, RecursionError)
            raise self._error(node, _CIRCULAR if is_circular else _NO_YAML) from None

    def construct_raw_env_var(self, node: yaml.ScalarNode) -> str:
        """Return a text with the values of its variables; called by the constructor."""
        return substitute(self.construct_scalar(node), self._environ)

    def _inner(self, text: str) -> "_Loader":
        if self._depth == self.deepest:
            raise RecursionError
        return _Loader(text, self._environ, self.name, self._depth + 1)

    def _error(self, node: yaml.Node, problem: str) -> yaml.YAMLError:
        return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


# These are kept by the class itself: SafeLoader stays as it is.
_Loader.add_constructor("!env_var", _Loader.construct_env_var)
_Loader.add_constructor("!raw_env_var", _Loader.construct_raw_env_var)
_Loader.add_implicit_resolver("!env_var", re.compile(r".*\$\{.*\}", re.DOTALL), None)
