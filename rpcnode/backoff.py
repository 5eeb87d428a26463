"""Delays between attempts, and what is known of an attempt: pure computation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rpcnode.exceptions import LONGEST_DELAY, ConfigurationError


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt this is, and what is known about those before.

    - `attempt`: 1 for the first; `max_attempts`: how many there will be at most.
    - `first_at`: when the first one failed, in Unix seconds; None while none has.
    - `last_error`: type and text of the last failure; None while there is none.
    - `delay_so_far`: the seconds that it was held back, all delays together.
    """

    attempt: int = 1
    max_attempts: int = 1
    first_at: float | None = None
    last_error: str | None = None
    delay_so_far: float = 0.0

    @property
    def is_last(self) -> bool:
        """Whether there will be no other attempt after this one."""
        return self.attempt >= self.max_attempts


@dataclass(frozen=True, slots=True)
class Exponential:
    """Delays of `first`, `first * factor`, `first * factor ** 2`, ... seconds, at most `max`."""

    first: float
    factor: float = 2.0
    max: float = 300.0

    def __post_init__(self) -> None:
        check_delay("Exponential: first", self.first)
        check_delay("Exponential: max", self.max)
        if not is_number(self.factor) or self.factor < 1:
            raise ConfigurationError(
                f"Exponential: factor must be a number of at least 1, not {self.factor!r}"
            )

    def __call__(self, info: Attempt) -> float:
        """Return the seconds between this attempt, which failed, and the next."""
        try:
            return min(self.first * self.factor ** (info.attempt - 1), self.max)
        except OverflowError:
            return self.max


@dataclass(frozen=True, slots=True)
class Linear:
    """Delays of `first`, `first + step`, `first + 2 * step`, ... seconds, at most `max`."""

    first: float
    step: float
    max: float = 300.0

    def __post_init__(self) -> None:
        for name in ("first", "step", "max"):
            check_delay(f"Linear: {name}", getattr(self, name))

    def __call__(self, info: Attempt) -> float:
        """Return the seconds between this attempt, which failed, and the next."""
        return min(self.first + self.step * (info.attempt - 1), self.max)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same delay each time, in seconds."""

    seconds: float

    def __post_init__(self) -> None:
        check_delay("Fixed", self.seconds)

    def __call__(self, info: Attempt) -> float:
        """Return the seconds between an attempt, which failed, and the next."""
        return self.seconds


Delay = Callable[[Attempt], float]


def is_number(value: Any) -> bool:
    """Return whether `value` is a finite number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def is_delay(value: Any) -> bool:
    """Return whether `value` is a number of seconds that a broker can hold a message."""
    return is_number(value) and 0 <= value <= LONGEST_DELAY


def check_delay(name: str, value: Any) -> None:
    """Raise ConfigurationError, naming the option, unless `value` is a delay."""
    if not is_delay(value):
        raise ConfigurationError(
            f"{name} must be a number of seconds from 0 to {LONGEST_DELAY}, not {value!r}"
        )
