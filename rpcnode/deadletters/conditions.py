"""Which dead letters are meant: `exc-type=Value*`, `age>1h`."""

import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from rpcnode.deadletters.letter import DeadLetter
from rpcnode.exceptions import CommandError

Condition = Callable[[DeadLetter], bool]

TEXTS: dict[str, Callable[[DeadLetter], str]] = {
    "reason": lambda letter: letter.reason,
    "exc-type": lambda letter: letter.exc_type,
    "exc-message": lambda letter: letter.exc_message,
    "handler": lambda letter: letter.handler,
    "host": lambda letter: letter.host,
    "id": lambda letter: letter.id or "",
    "exchange": lambda letter: letter.origin_exchange,
    "key": lambda letter: letter.origin_key,
}
NUMBERS: dict[str, Callable[[DeadLetter], float | None]] = {
    "age": lambda letter: letter.age,
    "attempts": lambda letter: letter.attempts,
    "replayed": lambda letter: letter.replayed,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_CONDITION = re.compile(r"([a-z-]+)(!=|=|<|>)(.*)", re.DOTALL)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def matching(*conditions: str) -> Condition:
    """Return the function that says whether a dead letter meets all of the conditions.

    `NAME=GLOB` and `NAME!=GLOB` compare `reason`, `exc-type`, `exc-message`, `handler`, `host`,
    `id`, `exchange` and `key`, case and all; `NAME>NUMBER`, and `<`, `=`, `!=`, compare `age`,
    `attempts` and `replayed`. An age has a unit: `90s`, `15m`, `1h`, `2d`. A letter whose age is
    not known meets no condition on it. Raises CommandError for what is none of these.
    """
    parsed = [_parse(condition) for condition in conditions]
    return lambda letter: all(is_met(letter) for is_met in parsed)


def _parse(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} is no condition: write exc-type=Value* or age>1h")
    name, sign, value = match.groups()
    if name in TEXTS and sign in ("=", "!="):
        return _text_condition(TEXTS[name], sign, value)
    if name in NUMBERS:
        return _number_condition(NUMBERS[name], sign, _number(text, name, value))
    if name in TEXTS:
        raise CommandError(f"{text!r}: {name} is a text, which = and != compare")
    raise CommandError(f"{text!r}: there is no {name!r}, only {', '.join([*TEXTS, *NUMBERS])}")


def _number(text: str, name: str, value: str) -> float:
    match = _NUMBER.fullmatch(value)
    if match is None or (match[2] and name != "age"):
        wanted = "a time such as 90s, 15m, 1h or 2d" if name == "age" else "a number"
        raise CommandError(f"{text!r}: {name} is compared with {wanted}")
    return float(match[1]) * _UNITS[match[2]]


def _text_condition(value_of: Callable[[DeadLetter], str], sign: str, pattern: str) -> Condition:
    wanted = sign == "="
    return lambda letter: fnmatchcase(value_of(letter), pattern) is wanted


def _number_condition(
    value_of: Callable[[DeadLetter], float | None], sign: str, number: float
) -> Condition:
    compare = _COMPARISONS[sign]

    def is_met(letter: DeadLetter) -> bool:
        value = value_of(letter)
        return value is not None and compare(value, number)

    return is_met
